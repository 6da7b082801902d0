package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"usher": main})
}

// The command line behaves as testdata/script says, one behaviour a file.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code,
		},
		Setup: func(env *testscript.Env) error {
			for _, pair := range os.Environ() {
				if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "USHER_") {
					env.Setenv(name, "") // as good as not set
				}
			}
			return nil
		},
	})
}

// code runs a command line and compares its exit code: code 2 check --config x.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: code WANT ARG...")
	}
	var out, errs strings.Builder
	var rest []string
	for _, a := range args[1:] { // run does not know the script's directory
		if strings.HasSuffix(a, ".yaml") || strings.HasSuffix(a, ".json") {
			a = ts.MkAbs(a)
		}
		rest = append(rest, a)
	}
	env := func(name string) (string, bool) { return ts.Getenv(name), ts.Getenv(name) != "" }
	got := run(context.Background(), rest, env, strings.NewReader(""), &out, &errs)
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("usher %s exits %d, want %s\n%s%s", strings.Join(rest, " "), got, args[0], &out, &errs)
	}
}
