package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each scenario shows what it is for, also in a short run; its figures are printed.
func TestScenarios(t *testing.T) {
	t.Parallel()
	if built == "" {
		t.Skip(errNoRedis)
	}
	for name := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "results.json")
			code, out, errs := exec(t, "scenario", name, "--usher", built, "--seed", "3", "--for", "6s", "--customers", "60", "--json", file)
			if code != exitOK {
				t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			t.Log(lines[len(lines)-1])
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r chaosResults
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			if loses := name == "unconfirmed"; (r.Figures.Lost > 0) != loses || r.Figures.Acknowledged == 0 {
				t.Errorf("of %d events %d were lost", r.Figures.Acknowledged, r.Figures.Lost)
			}
		})
	}
}
