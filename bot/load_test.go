package bot_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"usher/bot"
)

var update = flag.Bool("update", false, "rewrite the expected faults under testdata/bot/errors")

// All faults of a script are named at once, each with its place and its mend.
func TestLoadFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/bot/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts with faults: %v", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := bot.Load(name, src)
			if s != nil || err == nil {
				t.Fatalf("Load(%s) = %v, %v, want faults only", name, s, err)
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("Load(%s) (-want +got):\n%s", name, diff)
			}
		})
	}
}

// rest is what a script needs beside its rules.
const rest = `
version: 1
greeting: {keywords: [hello], say: Hi}
fallback: {say: Sorry}
`

// Faults of scripts that are too big, or too odd, to be kept as files.
func TestLoadBounds(t *testing.T) {
	t.Parallel()
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i)
		}
		return b.String()
	}
	locales := func(n int) string {
		var b strings.Builder
		for i, l := range language.Supported.BaseLanguages()[:n+2] {
			if l.String() != "en" && l.String() != "und" {
				fmt.Fprintf(&b, "  - {id: r%[1]d, keywords: [k%[1]d], say: {text: {en: A, %[2]s: B}}}\n", i, l)
			}
		}
		return b.String()
	}
	const fits = ""
	tests := map[string]struct{ src, want string }{
		"at_most_1_MiB":    {rest + "#" + strings.Repeat("x", 1<<20-len(rest)-1), fits},
		"over_1_MiB":       {rest + "#" + strings.Repeat("x", 1<<20-len(rest)), "b:1:1: 1048577 bytes, at most 1048576"},
		"byte_order_mark":  {"\uFEFF" + rest, fits},
		"not_utf8":         {rest + "# \xff", "b:5:1: not UTF-8: save the file in that encoding"},
		"1000_rules":       {rest + "rules:\n" + repeat(1000, "  - {id: r%[1]d, keywords: [k%[1]d], say: A}"), fits},
		"1001_rules":       {rest + "rules:\n" + repeat(1001, "  - {id: r%[1]d, keywords: [k%[1]d], say: A}"), "b:6:3: rules: 1001 entries, at most 1000"},
		"201_patterns":     {rest + "rules:\n" + repeat(201, "  - {id: r%[1]d, match: {regex: [x%[1]d]}, say: A}"), "b:206:32: rules[200].match.regex[0]: more than 200 patterns: use keywords, which cost nothing"},
		"201_keywords":     {rest + "rules: [{id: a, say: A, keywords: [" + strings.ReplaceAll(repeat(201, "k%d,"), "\n", "") + "]}]", "b:5:35: rules[0].keywords: 201 entries, at most 200"},
		"33_deep":          {rest + "rules: " + strings.Repeat("[", 33) + strings.Repeat("]", 33), "b:5:40: nested more than 32 deep"},
		"33_deep_in_words": {rest + "rules:\n" + strings.Repeat("- ", 33) + "a", "b:6:65: nested more than 32 deep"},
		"101_locales":      {rest + "rules:\n" + locales(101), "b:105:59: rules[99].say.text.bbd: more than 100 locales in all"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bot.Load("b", []byte(tt.src))
			got := fits
			if err != nil {
				got, _, _ = strings.Cut(err.Error(), "\n")
			}
			if got != tt.want {
				t.Errorf("Load() = %q, want %q", got, tt.want)
			}
		})
	}
}

// Anchors that repeat each other cost bounded work, not 32 to the power of ten.
func TestLoadGivesUpOnExplodingAnchors(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(rest + "rules:\n- &a0 {id: a, keywords: [a], say: A}\n")
	for i := 1; i <= 10; i++ {
		fmt.Fprintf(&b, "- &a%d {<<: [%s]}\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 30), ", "))
	}
	_, err := bot.Load("b", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "more than 1000000 values") {
		t.Errorf("Load() = %v, want the bound on values", err)
	}
}

// Keywords that differ only in what nobody hears are the same.
func TestLoadSameKeywords(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"人工", "人 工"}, {"Café au lait", "cafe, AU LAIT!"}} {
		_, err := bot.Load("b", []byte(rest+fmt.Sprintf(
			"rules: [{id: a, keywords: [%q], say: A}, {id: b, keywords: [%q], say: B}]", pair[0], pair[1])))
		if err == nil || !strings.Contains(err.Error(), `leads to "a" already (rules[0].keywords[0], line 5)`) {
			t.Errorf("Load() of %q = %v, want both places named", pair, err)
		}
	}
}

func TestFaultsAreTyped(t *testing.T) {
	t.Parallel()
	_, err := bot.Load("my.yaml", []byte(rest+"rules:\n- {id: é, keywords: [a], say: A}\n"))
	faults, ok := errors.AsType[*bot.FaultError](err)
	if !ok {
		t.Fatalf("Load() = %T, want a *bot.FaultError", err)
	}
	want := []bot.Fault{{
		File: "my.yaml", Line: 6, Column: 8, Path: "rules[0].id", Text: `"é": letters a to z, digits, _, - and . only`,
	}}
	if diff := cmp.Diff(want, faults.Faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
