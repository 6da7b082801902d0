package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it could not be run, or a guarantee is broken
	exitUsage  = 2 // the command line is wrong
)

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: &together{w: stderr}}
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	_, ran := errors.AsType[*ranError](err)
	switch {
	case err == nil:
		return exitOK
	case !ran:
		fmt.Fprintf(stderr, "%s: %v\nSee '%s --help'.\n", cmd.CommandPath(), err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "%s: %v\n", cmd.CommandPath(), err)
	return exitFailed
}

// program is where results and progress go.
type program struct {
	stdout, stderr io.Writer
	usher          string // path of the program under test; "" finds it
	json           string // file of the results; "" for none
}

// together lets several write lines to one place.
type together struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes b as a whole.
func (t *together) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(b)
}

// ranError is the error of a command that ran; any other is one of the command line.
type ranError struct{ error }

func (e *ranError) Unwrap() error { return e.error }

// rootCommand returns `usher-bench` with all its commands.
func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "usher-bench",
		Short: "Measure Usher, and try to break it",
		Long: `Starts Usher as an operator would, with a real Redis and a stand-in for Meta, and
measures it or tries to break it. What it starts it ends, also after Ctrl-C.

Progress is told on stderr; a table comes at the end, and JSON with --json FILE.
Exit codes: 0 ok, 1 failed or a guarantee is broken, 2 wrong command line.`,
		Example:       "  usher-bench chaos --seed 7\n  usher-bench load --baseline",
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // run says them
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&p.usher, "usher", "", "the program under test; found beside this one or on PATH")
	root.PersistentFlags().StringVar(&p.json, "json", "", "also write the results to a file")
	root.AddCommand(p.chaosCommand(), p.scenarioCommand(), p.loadCommand(), p.memoryCommand(), p.soakCommand(), p.flameCommand(), p.baselineCommand())
	for _, c := range root.Commands() {
		act := c.RunE
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := act(cmd, args); err != nil {
				return &ranError{err}
			}
			return nil
		}
	}
	return root
}

var (
	errNoUsher = errors.New("no usher beside this program nor on PATH: make build, or name one with --usher")
	errNoRedis = errors.New("neither redis-server nor valkey-server is on PATH: apt-get install redis-server")
)

// findUsher returns the path of the program under test.
func (p *program) findUsher() (string, error) {
	if p.usher != "" {
		path, err := osexec.LookPath(p.usher)
		if err != nil {
			return "", fmt.Errorf("--usher: %w", err)
		}
		return filepath.Abs(path)
	}
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), "usher"); isFile(beside) {
			return beside, nil
		}
	}
	path, err := osexec.LookPath("usher")
	if err != nil {
		return "", errNoUsher
	}
	return filepath.Abs(path)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// findRedis returns the path of a Redis server.
func findRedis() (string, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := osexec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoRedis
}

// writeJSON writes the results to the file that was asked for.
func (p *program) writeJSON(results any) error {
	if p.json == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(p.json, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}
