package simulator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger/simulator"
)

const npm = "../../testdata/npm"

// A client that is not ours finds Meta in the simulator: what it is answered, and
// what its errors say. testdata/npm/*.jsonl has it, call by call.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t)
	for part, option := range map[string]func(*simulator.Options){
		"routing": func(o *simulator.Options) { o.CheckProof = true }, "zero": zeroConfig,
	} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(filepath.Join(npm, part+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, option, func(o *simulator.Options) { o.AppIDs = simulator.AppIDsStrings })
			if _, err := w.Customer("7000000000000002").Says("yesterday"); err != nil {
				t.Fatal(err)
			}
			w.pass(25 * time.Hour)
			w.Customer(ann).Speaks("en_US")
			w.says("hello")
			w.Customer("7000000000000003").Named("Cleo", "Day") // has not written
			server := httptest.NewServer(w)
			defer server.Close()

			client, err := filepath.Abs(filepath.Join(npm, "client.mjs"))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "node", client, server.URL, part)
			cmd.Dir, cmd.Env = modules, append(cmd.Environ(), "NO_PROXY=127.0.0.1")
			var says strings.Builder
			cmd.Stderr = &says
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("client: %v\n%s\n%s", err, out, says.String())
			}
			if diff := cmp.Diff(string(want), w.withNames(string(out))); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// withNames writes a message's id as its place on the phone, which counts from 1;
// that of an upload or a persona as new, and a trace's as nothing.
func (w *world) withNames(s string) string {
	for _, psid := range w.Customers() {
		for i, l := range w.Transcript(psid) {
			s = strings.ReplaceAll(s, string(l.MID), "line "+strconv.Itoa(i+1))
		}
	}
	s = regexp.MustCompile(`"[79]1\d{9}"`).ReplaceAllString(s, `"new"`)
	return regexp.MustCompile(`"fbtraceId":"\w+",`).ReplaceAllString(s, "")
}

// nodeModules returns a folder with the client's modules, as the lock file has them.
// It is outside the tree, and filled once.
func nodeModules(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not there: %v", program, err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"package.json": nil, "package-lock.json": nil}
	for name := range files {
		if files[name], err = os.ReadFile(filepath.Join(npm, name)); err != nil {
			t.Fatal(err)
		}
	}
	lock := sha256.Sum256(append(files["package.json"], files["package-lock.json"]...))
	folder := filepath.Join(cache, "usher", "npm-"+hex.EncodeToString(lock[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "npm-fresh-") //nolint:usetesting // beside the folder, so that it can be renamed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // it has moved, or is of no use
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		if regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b`).Match(out) {
			t.Skipf("the client cannot be fetched here: npm ci: %v\n%s", err, out)
		}
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, fs.ErrExist) { // another test was faster
		t.Fatal(err)
	}
	return folder
}
