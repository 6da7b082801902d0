package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"usher/bot"
	"usher/config"
)

// checkCommand is `usher check`.
func (p *program) checkCommand() *cobra.Command {
	file, live := "", false
	c := &cobra.Command{
		Use:   "check",
		Short: "Name every fault of the settings and the script",
		Long: `Reads the settings and the script and names all that is wrong with them at once,
each with its place, and the placeholders that still stand. Nothing is started
and nobody is asked.

With --live, where nothing is wrong, Redis and Meta are asked whether the settings
work: ✔ is in order, ✖ is not and is followed by its mend, ? is for you to look at.
Nothing is changed at Meta, and nobody is written to.`,
		Example: `  usher check
  usher check --config mypage/usher.yaml --live
  USHER_REDIS_DURABILITY=strict usher check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.check(file)
			if err != nil || !live {
				return err
			}
			return checkLive(cmd.Context(), cfg, p.stdout)
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVar(&live, "live", false, "ask Redis and Meta too")
	return c
}

// check reads the settings and the script, prints a line for each, and returns
// all that keeps them from being served.
func (p *program) check(file string) (config.Config, error) {
	cfg, script, err := p.loadLoosely(file)
	if _, usage := errors.AsType[*usageError](err); usage {
		return cfg, err
	}
	n := len(cfg.Placeholders)
	if settings, faulty := errors.AsType[*config.FaultError](err); faulty {
		n += len(settings.Faults)
	}
	if n > 0 {
		p.fault(cmp.Or(file, "environment"), n)
	} else {
		p.fine(cmp.Or(file, "environment"), "%s, handoffs go to %s", plural(len(cfg.Messenger.Pages), "Page"), cfg.Handover.Target)
	}
	if said, faulty := errors.AsType[*bot.FaultError](err); faulty {
		p.fault(cfg.Bot.Script, len(said.Faults))
	} else if script != nil {
		p.fine(cfg.Bot.Script, "the script, in %s", strings.Join(script.Locales(), ", "))
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(p.stdout, "! %s\n", w)
	}
	return cfg, errors.Join(cfg.Ready(), err)
}

func (p *program) fine(what, format string, args ...any) {
	fmt.Fprintf(p.stdout, "✔ %s: %s\n", what, fmt.Sprintf(format, args...))
}

func (p *program) fault(what string, n int) {
	fmt.Fprintf(p.stdout, "✖ %s: %s\n", what, plural(n, "fault"))
}
