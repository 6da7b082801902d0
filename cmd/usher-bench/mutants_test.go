package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/cmd/usher-bench/check"
)

// common are the flags of every run.
const common = "--replicas 2 --for 5s --settle 8s --lease 1s --limit 5s --customers 40"

// mutantSource is the package that a mutant asks which one it is. Other mutations'
// changes are there, and do nothing.
const mutantSource = `package mutant

import (
	"os"
	"strings"
)

var chosen = os.Getenv("MUTANT")

func Is(name string) bool { return chosen == name }

func If[T any](name string, then, otherwise T) T {
	if Is(name) {
		return then
	}
	return otherwise
}

var scripts = map[string][]string{%s}

// Script changes a script, and returns it.
func Script(source *string) string {
	*source = strings.NewReplacer(scripts[chosen]...).Replace(*source)
	return *source
}
`

// root is that of the module.
const root = "../.."

// Each mechanism stands where its mutation says, and each guarantee has one.
func TestMutationsAreUpToDate(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for _, m := range mutations {
		broken[m.guarantee] = true
		for _, c := range m.changes {
			if n := strings.Count(readSource(t, c.file), c.old); n != 1 || c.old == c.new {
				t.Errorf("%s: %q stands %d times in %s, want once, and changed", m.name, c.old, n, c.file)
			}
		}
	}
	for _, g := range check.Judge(check.Evidence{}).Guarantees {
		if !broken[g.ID] {
			t.Errorf("no mutation breaks %s", g.ID)
		}
	}
}

func readSource(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// buildMutants builds Usher and this program with all mutations to choose from,
// and returns the directory. The tree stays as it is.
func buildMutants(t *testing.T) string {
	t.Helper()
	texts := map[string]string{}
	edit := func(file string, edit func(string) string) {
		if texts[file] == "" {
			texts[file] = readSource(t, file)
		}
		texts[file] = edit(texts[file])
	}
	scripts := map[string][]string{}
	for _, m := range mutations {
		for _, c := range m.changes {
			if filepath.Ext(c.file) == ".lua" {
				scripts[m.name] = append(scripts[m.name], c.old, c.new)
				continue
			}
			edit(c.file, func(text string) string { return strings.Replace(text, c.old, c.new, 1) })
		}
	}
	scripted, err := filepath.Glob(root + "/handover/redisstore/*.go")
	if err != nil {
		t.Fatal(err)
	}
	newScript := regexp.MustCompile(`redis\.NewScript\((\w+)\)`)
	for _, path := range scripted {
		file, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if newScript.MatchString(readSource(t, file)) {
			edit(file, func(text string) string {
				return newScript.ReplaceAllString(text, "redis.NewScript(mutant.Script(&$1))")
			})
		}
	}
	for file, text := range texts {
		at := strings.Index(text, "\nimport ")
		texts[file] = text[:at] + "\nimport \"usher/mutant\"\n" + text[at:]
	}
	var table strings.Builder
	for name, pairs := range scripts {
		fmt.Fprintf(&table, "%q: %#v,", name, pairs)
	}
	texts["mutant/mutant.go"] = fmt.Sprintf(mutantSource, &table)

	dir, replace := t.TempDir(), map[string]string{}
	for i, file := range slices.Sorted(maps.Keys(texts)) {
		absolute, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		replace[absolute] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replace[absolute], []byte(texts[file]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := osexec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", dir, "usher/cmd/usher", "usher/cmd/usher-bench")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	return dir
}

// A run by chance may pass by what a mutant does wrong: it gets as many.
const tries = 3

// Every guarantee breaks without its mechanism, and holds with it in the same run.
// Without USHER_TEST_FULL=1, as `make test` ends, a few are tried: all take minutes.
func TestMutants(t *testing.T) {
	t.Parallel()
	if built == "" {
		t.Skip(errNoRedis)
	}
	few := []string{"acknowledge", "dedupe", "fence", "outbox"}
	full := os.Getenv("USHER_TEST_FULL") != ""
	dir := buildMutants(t)
	slots := make(chan struct{}, 2)
	for _, m := range mutations {
		if !full && !slices.Contains(few, m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			for seed := range tries {
				if m.isSeen(runMutant(t, dir, m.name, m.run, seed+1)) {
					return
				}
			}
			t.Errorf("survives: %s is not seen to break", m.guarantee)
		})
	}
	for name, run := range runs() {
		if !full {
			break // TestChaos is such a run
		}
		t.Run("none_in_"+name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			if v := runMutant(t, dir, "", run, 1); !v.OK() {
				t.Error("a guarantee breaks without a mutation")
			}
		})
	}
}

// runs returns the different runs, each by the name of a mutation that is seen in it.
func runs() map[string]string {
	all := map[string]string{}
	for _, m := range mutations {
		if !slices.Contains(slices.Collect(maps.Values(all)), m.run) {
			all[m.name] = m.run
		}
	}
	return all
}

// isSeen tells whether a verdict says what the mutation breaks.
func (m *mutation) isSeen(v check.Verdict) bool {
	return slices.ContainsFunc(v.Guarantees, func(g check.Guarantee) bool {
		return g.ID == m.guarantee && slices.ContainsFunc(g.Examples, func(e string) bool { return strings.Contains(e, m.says) })
	})
}

// runMutant runs a mutant under faults and returns the verdict.
func runMutant(t *testing.T, dir, name, flags string, seed int) check.Verdict {
	t.Helper()
	file := filepath.Join(t.TempDir(), "results.json")
	line := fmt.Sprintf("exec %s/usher-bench chaos %s %s --seed %d --json %s", dir, common, flags, seed, file)
	c := osexec.CommandContext(t.Context(), "sh", "-c", line)
	c.Env = append(os.Environ(), "MUTANT="+name, "TMPDIR="+t.TempDir())
	out, runErr := c.CombinedOutput() // exits 1 where a guarantee is broken
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v, %v\n%s", runErr, err, out)
	}
	var r chaosResults
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Guarantees {
		if g.Broken > 0 {
			t.Logf("seed %d: %s held %d times and was broken %d times: %s", seed, g.ID, g.Held, g.Broken, g.Examples[0])
		}
	}
	return r.Verdict
}
