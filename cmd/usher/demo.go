package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"usher/bot"
	"usher/cmd/usher/page"
	"usher/config"
	"usher/messenger/webhook"
)

// demoAddress is where the demo's page is, unless that port is taken.
const demoAddress = "127.0.0.1:8088"

// demoCommand is `usher demo`.
func (p *program) demoCommand() *cobra.Command {
	address, terminal, once, pause := demoAddress, false, false, 900*time.Millisecond
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play customer and agent on a page, against a simulated Messenger",
		Long: `Serves a page on this machine: a phone, a Page Inbox, and between them what Usher
sees and decides. You play customers and agents, kill Usher, let Meta fail, and see
what comes of it. With --terminal a conversation is played and printed instead, and
you type.

All of it runs in this process: the bot, a simulated Meta, and a Redis in memory
(so nothing is kept). No network is used, and no Facebook account is needed.`,
		Example: `  usher demo
  usher demo --listen 127.0.0.1:0
  usher demo --terminal --once --pause 0s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			changed := cmd.Flags().Changed
			switch {
			case terminal && changed("listen"):
				return usagef("--listen is where the page is: with --terminal there is none")
			case !terminal && (once || changed("pause")):
				return usagef("--once and --pause are for --terminal")
			}
			cfg, script, err := demoSettings()
			if err != nil {
				return err
			}
			if terminal {
				return p.demoTerminal(cmd.Context(), cfg, script, once, pause)
			}
			return p.demoPage(cmd.Context(), cfg, script, address, !changed("listen"))
		},
	}
	c.Flags().StringVar(&address, "listen", address, "where the page is; another free port if this one is taken")
	c.Flags().BoolVar(&terminal, "terminal", terminal, "play and print a conversation instead")
	c.Flags().BoolVar(&once, "once", once, "end after the conversation")
	c.Flags().DurationVar(&pause, "pause", pause, "between two acts of the conversation")
	return c
}

// demoPage serves the page until ctx ends.
func (p *program) demoPage(ctx context.Context, cfg config.Config, script *bot.Script, address string, orElsewhere bool) (err error) {
	l, err := listen(ctx, "--listen", address)
	if err != nil && orElsewhere { // taken, say
		l, err = listen(ctx, "--listen", "127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	t, err := openTheatre(ctx, theatreOptions{
		cfg: cfg, script: script, pause: 1200 * time.Millisecond, patience: time.Minute,
		start: time.Now().UnixMilli() * 1000, //nolint:forbidigo // grows from process to process
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, t.close()) }()
	handler, err := page.New(t)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := startServer(handler, l, zerolog.Nop())
	fmt.Fprintf(p.stdout, "The demo is at http://%s/\nCtrl-C ends it.\n", l.Addr())
	select {
	case <-ctx.Done():
	case err = <-server.failed:
	}
	handler.Close()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, server.close(last))
}

// demoTerminal plays and prints the conversation.
func (p *program) demoTerminal(ctx context.Context, cfg config.Config, script *bot.Script, once bool, pause time.Duration) error {
	play, stop := context.WithCancel(ctx)
	defer stop()
	player, err := p.openPlayer(play, cfg, script, true)
	if err != nil {
		return err
	}
	err = player.perform(play, pause)
	if err == nil && !once {
		err = p.stay(play, player)
	}
	if ctx.Err() != nil {
		err = nil // it was stopped, as is usual
	}
	return errors.Join(err, player.stop())
}

// demoSettings are the starter files' on the stage.
func demoSettings() (config.Config, *bot.Script, error) {
	script, err := bot.Load("bot.yaml", config.StarterScript())
	if err != nil {
		return config.Config{}, nil, err
	}
	cfg, err := defaults()
	if err != nil {
		return config.Config{}, nil, err
	}
	return stageSettings(cfg), script, nil
}

// defaults are the settings where nothing is set but what must be.
func defaults() (config.Config, error) {
	must := map[string]string{
		"USHER_MESSENGER_APP_ID": string(stageApp), "USHER_MESSENGER_APP_SECRET": stageSecret,
		"USHER_MESSENGER_VERIFY_TOKEN": stageVerify, "USHER_MESSENGER_PAGES_0_ID": string(stagePage),
		"USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": stageToken,
	}
	return config.Load("", func(k string) (string, bool) { v, ok := must[k]; return v, ok })
}

// openPlayer opens a stage and puts Ann on it.
func (p *program) openPlayer(ctx context.Context, cfg config.Config, script *bot.Script, wire bool) (*player, error) {
	out := &printer{w: p.stdout, colours: isTerminal(p.stdout) && !p.noColour(), wire: wire}
	s, err := openStage(ctx, cfg, script, observers{
		line: out.line, meta: out.meta,
		inbox: func(in webhook.Inbox) webhook.Inbox { return tellingInbox{Inbox: in, tell: out.events} },
	})
	if err != nil {
		return nil, err
	}
	return &player{stage: s, out: out, customer: s.meta.Customer(stagePSID).Named("Ann", "Lee").Speaks("en_US"), name: "Ann"}, nil
}

// noColour tells whether the person wants none. See https://no-color.org.
func (p *program) noColour() bool {
	v, ok := p.env("NO_COLOR")
	return ok && v != ""
}

// scene is a part of the performance.
type scene struct {
	title string
	acts  []func(context.Context) error
}

// perform plays the conversation.
func (p *player) perform(ctx context.Context, pause time.Duration) error {
	says := func(text string) func(context.Context) error {
		return func(ctx context.Context) error { return p.says(ctx, text) }
	}
	scenes := []scene{
		{"A customer writes; the bot answers", []func(context.Context) error{says("hello")}},
		{"She asks for a person: one call says so and passes control to the Page Inbox", []func(context.Context) error{
			func(ctx context.Context) error { return p.taps(ctx, "Talk to a human") },
		}},
		{"An agent answers; the bot listens on standby and is silent", []func(context.Context) error{
			func(ctx context.Context) error { return p.agent(ctx, "Hi Ann, this is Kim. What can I do for you?") },
			says("Is my order on its way? I hate talking to a bot."),
			func(ctx context.Context) error { return p.agent(ctx, "It left this morning.") },
		}},
		{"The agent clicks Done; the bot does not speak first, and then says what it is", []func(context.Context) error{
			p.done, says("what are your opening hours?"),
		}},
		{"A person again, and back by a keyword", []func(context.Context) error{says("human"), says("Bot!")}},
		{"A person again, but nobody comes: the time limit lapses", []func(context.Context) error{
			says("human"),
			func(ctx context.Context) error { return p.later(ctx, "12h") },
			says("where are you?"),
		}},
	}
	p.out.print("", "A Page called Corner Shop, a customer called Ann, an agent in the Page Inbox, and Usher.\n"+
		"Meta is simulated, and a Redis in memory keeps nothing. [Quick replies] and ⟦buttons⟧ are Ann's to tap.")
	for _, sc := range scenes {
		p.out.print(bold, "\n── %s %s", sc.title, strings.Repeat("─", max(0, 86-len([]rune(sc.title)))))
		for _, act := range sc.acts {
			if err := act(ctx); err != nil {
				return err
			}
			if err := rest(ctx, pause); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest lets people read.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stay lets people type, and stays when they have ended typing.
func (p *program) stay(ctx context.Context, player *player) error {
	player.out.print(bold, "\n── Your turn %s", strings.Repeat("─", 76))
	player.out.print("", "%s\n  Ctrl-C ends the demo.", playHelp)
	if err := player.play(ctx, p.stdin, ""); err != nil {
		return err
	}
	if f, ok := p.stdin.(*os.File); ok && isTerminal(f) {
		return nil // whoever typed /quit, or Ctrl-D, is done
	}
	<-ctx.Done()
	return nil
}
