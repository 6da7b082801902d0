package scene_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"usher/messenger/simulator"
	"usher/messenger/simulator/scene"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write what comes of them into the scenes")

const scenes = "../../../testdata/scenes"

func page() simulator.Options {
	return simulator.Options{
		App: "2262510160704936", AppSecret: "app-secret", Page: "1000000000000001", PageToken: "page-token", VerifyToken: "verify", Seed: 1,
	}
}

// TestScenes plays the scenes that say how Meta routes threads.
// testdata/scenes/README.md says how to read and to write them.
func TestScenes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(scenes, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("scenes in %s: %d, %v", scenes, len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, filepath.Base(file), string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := scene.Diff(filepath.Base(file), string(want), got); diff != "" {
				t.Errorf("see the flag -update:\n%s", diff)
			}
		})
	}
}

// play plays a scene whose apps are all acted by the script.
func play(t *testing.T, name, src string) string {
	t.Helper()
	sc, err := scene.Parse(name, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	stage, err := scene.Open(scene.Options{Page: page()})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	got, err := stage.Play(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
