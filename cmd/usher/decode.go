package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"usher/messenger/webhook"
)

// decodeCommand is `usher decode`.
func (p *program) decodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "decode [FILE|-]",
		Short: "Print the events in a webhook body, one JSON object a line",
		Long: `Reads the body of one of Meta's deliveries, from FILE or the standard input, and
prints each event in it as Usher understands it. What Usher does not know is
printed too, as unknown. Signatures are not looked at.`,
		Example: `  usher decode delivery.json
  pbpaste | usher decode -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "-"
			if len(args) == 1 {
				name = args[0]
			}
			return p.decode(name)
		},
	}
}

func (p *program) decode(name string) error {
	in := p.stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name) //nolint:gosec // the operator names the file
		if err != nil {
			return fmt.Errorf("read the delivery: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the delivery: %w", err)
	}
	events, err := webhook.Decode(body)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	out := bufio.NewWriter(p.stdout)
	for i := range events {
		if err := webhook.WriteLine(out, events[i]); err != nil {
			return fmt.Errorf("print an event: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print the events: %w", err)
	}
	return nil
}
