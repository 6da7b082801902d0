package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// talkCommand is `usher talk`.
func (p *program) talkCommand() *cobra.Command {
	file := ""
	wire := false
	c := &cobra.Command{
		Use:   "talk",
		Short: "Talk to your script in the terminal, offline",
		Long: `Plays your script, with your rules and texts, against a simulated Messenger: type as
the customer and, behind a slash, as the agent. Each decision is shown, with the
state and the effects it leads to. Nothing is kept, and nobody is called.

` + playHelp,
		Example: `  usher talk --config mypage/usher.yaml
  printf 'hello\n/tap Talk to a human\n/who\n' | usher talk`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, script, err := p.loadLoosely(file) // placeholders are no matter: nobody is called
			if err != nil {
				return err
			}
			player, err := p.openPlayer(cmd.Context(), stageSettings(cfg), script, wire)
			if err != nil {
				return err
			}
			prompt := ""
			if isTerminal(p.stdin) {
				prompt = "> "
				player.out.print("", "You are %s, who writes to the Page.\n%s", player.name, playHelp)
			}
			return errors.Join(player.play(cmd.Context(), p.stdin, prompt), player.stop())
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVar(&wire, "wire", wire, "show webhooks and Graph calls too")
	return c
}
