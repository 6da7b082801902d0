package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"usher/config"
)

// initCommand is `usher init`.
func (p *program) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented usher.yaml and bot.yaml to start from",
		Long: `Writes usher.yaml, the settings, and bot.yaml, what the bot says, into DIR or
here. Both are commented, and work once the placeholders in usher.yaml are
replaced. Files that exist are never overwritten.`,
		Example: `  usher init
  usher init mypage`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return p.initialise(dir)
		},
	}
}

func (p *program) initialise(dir string) error {
	settings, script := filepath.Join(dir, "usher.yaml"), filepath.Join(dir, "bot.yaml")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	if err := writeNew(settings, config.StarterSettings(), 0o600); err != nil { // for secrets
		return err
	}
	if err := writeNew(script, config.StarterScript(), 0o644); err != nil {
		return errors.Join(err, os.Remove(settings)) // both or neither
	}
	fmt.Fprintf(p.stdout, `Wrote %[1]s and %[2]s. Next:

  1. Replace what says change-me in %[1]s.
  2. usher check --config %[1]s
  3. usher talk --config %[1]s     to try what the bot says, offline
  4. usher serve --config %[1]s
  5. usher setup --config %[1]s    to subscribe the Page and give it its menu
`, settings, script)
	return nil
}

// writeNew writes a file that must not exist.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // the operator names the directory
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s exists and is not overwritten: move it away, or name another directory", path)
	}
	if err != nil {
		return fmt.Errorf("write the starter file: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return nil
}
