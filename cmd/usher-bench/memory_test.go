package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A short run tells what threads take, and of what that is made up.
func TestMemory(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	measure := func(args ...string) (r memoryResults) {
		file := filepath.Join(t.TempDir(), "memory.json")
		code, out, errs := exec(t, append([]string{"memory", "--usher", built, "--idle", "100ms", "--json", file}, args...)...)
		if code != exitOK {
			t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	once, often := measure("--threads", "300"), measure("--threads", "300", "--exchanges", "5")
	if once.State < 100 || once.State > 400 || once.IDs < 50 || once.ResidentMB == 0 || once.PerThread < once.State+once.IDs {
		t.Errorf("one exchange each takes %+v", once)
	}
	if often.History < 2*once.History || often.IDs < 3*once.IDs || often.State > once.State+100 {
		t.Errorf("five exchanges each take %+v; want more than one does, %+v, and a thread of the same size", often, once)
	}
}
