package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/cmd/usher-bench/check"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/reliability.md")

// The tables of docs/reliability.md are those that the tests go by.
func TestReliabilityDoc(t *testing.T) {
	t.Parallel()
	const file = root + "/docs/reliability.md"
	is := readSource(t, "docs/reliability.md")
	want := is
	for name, table := range map[string]string{"mutations": mutationsTable(), "situations": situationsTable()} {
		begin, end := "<!-- "+name+": written by a test -->\n", "<!-- end of "+name+" -->\n"
		head, rest, begins := strings.Cut(want, begin)
		_, tail, ends := strings.Cut(rest, end)
		if !begins || !ends {
			t.Fatalf("%s lacks %q or %q", file, begin, end)
		}
		want = head + begin + table + end + tail
	}
	switch {
	case is == want:
	case *update:
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the tables of %s are old: go test ./cmd/usher-bench -run TestReliabilityDoc -update", file)
	}
}

func mutationsTable() string {
	says := map[string]string{}
	for _, g := range check.Judge(check.Evidence{}).Guarantees {
		says[g.ID] = g.Says
	}
	var b strings.Builder
	b.WriteString("| | promise | how it is kept | without that Usher … | and the checker says |\n|---|---|---|---|---|\n")
	for _, m := range mutations {
		fmt.Fprintf(&b, "| %s | %s | %s | %s (`%s`) | … %s … |\n", m.guarantee, says[m.guarantee], m.mechanism, m.instead, m.name, m.says)
	}
	return b.String()
}

func situationsTable() string {
	var b strings.Builder
	b.WriteString("| what goes wrong | what comes of it | shown by |\n|---|---|---|\n")
	for _, s := range situations {
		var shown []string
		for _, by := range s.shown {
			where, what, _ := strings.Cut(by, " ")
			if where == "chaos" {
				shown = append(shown, "*"+what+"*")
			} else {
				shown = append(shown, "`"+where+"` "+what)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", s.fault, s.then, strings.Join(shown, ", "))
	}
	return b.String()
}

// What the table of situations names exists, and every kind of fault is in it.
func TestSituationsAreShown(t *testing.T) {
	t.Parallel()
	faults := map[string]bool{}
	for _, mode := range []string{redisSingle, redisSentinel, redisCluster} {
		for _, k := range kinds(mode, time.Second) {
			faults[k.name] = false
		}
	}
	for _, s := range situations {
		for _, by := range s.shown {
			where, what, _ := strings.Cut(by, " ")
			if where != "chaos" {
				wantTest(t, where, what)
				continue
			}
			if _, exists := faults[what]; !exists {
				t.Errorf("%s: there is no fault %q", s.fault, what)
			}
			faults[what] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		if !faults[name] && name != "replica paused" { // which nothing must come of
			t.Errorf("no situation names the fault %q", name)
		}
	}
}

// wantTest looks for a test, and for the name of its case: in the sources of its
// directory, of the suite that it runs, or among the files that it reads.
func wantTest(t *testing.T, dir, name string) {
	t.Helper()
	name, sub, hasSub := strings.Cut(name, "/")
	var text strings.Builder
	for _, pattern := range []string{dir + "/*_test.go", "handover/storetest/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
	}
	if !regexp.MustCompile(`(?m)^func ` + name + `\(`).MatchString(text.String()) {
		t.Errorf("%s has no %s", dir, name)
	}
	files, err := filepath.Glob(root + "/testdata/*/" + sub + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	if hasSub && !strings.Contains(text.String(), `"`+sub+`"`) && len(files) == 0 {
		t.Errorf("%s: %s has no case %s", dir, name, sub)
	}
}
