package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"usher/bot"
	"usher/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried, and failed
	exitUsage  = 2 // the command line, the settings or the script are wrong
)

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.rootCommand() //nolint:contextcheck // commands get ctx from cobra
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return p.report(cmd, err)
}

// program is what commands may touch of the world outside.
type program struct {
	env            func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
}

// rootCommand returns `usher` with all its commands.
func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "usher",
		Short: "Answer a Page's Messenger threads, hand them to people and come back",
		Long: `Usher answers a Facebook Page's Messenger threads, hands a person over to people
when that is needed, stays silent while they talk, and comes back.

Exit codes: 0 ok, 1 failed, 2 wrong command line, settings or script.`,
		Example: `  usher demo
  usher init mypage
  usher check --config mypage/usher.yaml
  usher serve --config mypage/usher.yaml`,
		SilenceErrors:     true, // report says them
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // ours has examples
	}
	root.AddCommand(
		p.initCommand(),
		p.checkCommand(),
		p.setupCommand(),
		p.serveCommand(),
		p.threadCommand(),
		p.talkCommand(),
		p.demoCommand(),
		p.simulateCommand(),
		p.decodeCommand(),
		p.versionCommand(),
		p.completionCommand(),
		p.healthcheckCommand(),
	)
	settle(root)
	return root
}

// settle marks the errors of commands that ran, and makes a command that only
// groups others refuse names that it does not know; cobra would print its help
// and be content.
func settle(c *cobra.Command) {
	if act := c.RunE; act != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := act(cmd, args); err != nil {
				return &ranError{err}
			}
			return nil
		}
	} else {
		c.Args = subcommandOnly
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, sub := range c.Commands() {
		settle(sub)
	}
}

func subcommandOnly(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2
	mend := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		mend = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("%w %q%s", errUnknownCommand, args[0], mend)
}

var errUnknownCommand = errors.New("unknown command")

// usageError is an error that the operator mends by asking otherwise.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)} //nolint:err113 // shown once, to a person
}

// ranError is the error of a command that ran; any other is cobra's, of the
// command line.
type ranError struct{ error }

func (e *ranError) Unwrap() error { return e.error }

// report says what went wrong and returns the exit code.
func (p *program) report(cmd *cobra.Command, err error) int {
	_, ran := errors.AsType[*ranError](err)
	_, settings := errors.AsType[*config.FaultError](err)
	_, script := errors.AsType[*bot.FaultError](err)
	_, usage := errors.AsType[*usageError](err)
	switch {
	case err == nil:
		return exitOK
	case !ran:
		fmt.Fprintf(p.stderr, "%s: %v\nSee '%s --help'.\n", cmd.CommandPath(), err, cmd.CommandPath())
		return exitUsage
	case settings || script:
		fmt.Fprintln(p.stderr, err) // each line begins with its place
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "%s: %v\n", cmd.CommandPath(), err)
	if usage {
		return exitUsage
	}
	return exitFailed
}

// configFlag adds --config.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "usher.yaml", `settings file; "" for the environment alone`)
}

// maxScript bounds a script, in bytes; bot.Load says the same.
const maxScript = 1 << 20

// loadLoosely reads the settings and the script, and lets placeholders pass. The
// error names the faults of both; what has none is returned all the same.
func (p *program) loadLoosely(file string) (config.Config, *bot.Script, error) {
	cfg, err := config.Load(file, p.env)
	faults, faulty := errors.AsType[*config.FaultError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cfg, nil, usagef("no settings at %s: write some with `usher init`, or name others with --config", file)
	case err != nil && !faulty:
		return cfg, nil, &usageError{err}
	case cfg.Bot.Script == "":
		return cfg, nil, err
	}
	src, readErr := readScript(cfg.Bot.Script)
	if readErr != nil {
		all := []config.Fault{{
			At: cfg.Where("bot.script"), Path: "bot.script",
			Text: fmt.Sprintf("%v: write one with `usher init`, or name another", readErr),
		}}
		if faulty {
			all = append(faults.Faults, all...)
		}
		return cfg, nil, &config.FaultError{Faults: all}
	}
	script, scriptErr := bot.Load(cfg.Bot.Script, src)
	return cfg, script, errors.Join(err, scriptErr)
}

// readScript reads a script, and of one that is too long as much as shows it.
func readScript(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, maxScript+1))
}

// plural returns "1 fault", "2 faults".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
