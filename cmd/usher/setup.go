package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"usher/bot"
	"usher/config"
	"usher/messenger"
	"usher/messenger/graph"
)

// setupCommand is `usher setup`.
func (p *program) setupCommand() *cobra.Command {
	file, dryRun := "", false
	c := &cobra.Command{
		Use:   "setup",
		Short: "Tell Meta what to deliver and what to show",
		Long: `Subscribes each Page to the webhook fields that Usher needs, and sets its Get
Started button, persistent menu, greeting and ice breakers, from usher.yaml and the
script's section profile. Fields and settings that Usher has nothing for stay as
they are. With --dry-run the difference is shown and nothing is changed.

Two things no call can do: choosing Usher as the Page's default app, and letting it
take control. Both are at https://www.facebook.com/settings?tab=msgr_conversation_routing

A menu may take 24 hours to show, and Facebook's mobile browser shows none.`,
		Example: `  usher setup --dry-run
  usher setup --config mypage/usher.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, script, err := p.load(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), liveTimeout)
			defer cancel()
			var errs []error
			for _, page := range cfg.Messenger.Pages {
				client, err := newGraph(cfg, page, nil)
				if err == nil {
					s := setup{client: client, out: p.stdout, dry: dryRun}
					err = s.page(ctx, cfg, page, script)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", pageLabel(page), err))
				}
			}
			return errors.Join(errs...)
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the difference, change nothing")
	return c
}

// setup brings one Page to what the settings say.
type setup struct {
	client *graph.Client
	out    io.Writer
	dry    bool
}

func (s setup) page(ctx context.Context, cfg config.Config, page config.Page, script *bot.Script) error {
	fmt.Fprintln(s.out, pageLabel(page))
	if err := s.subscribe(ctx, messenger.AppID(cfg.Messenger.AppID)); err != nil {
		return err
	}
	is, err := s.client.MessengerProfile(ctx)
	if err != nil {
		return fmt.Errorf("read the messenger profile: %w", err)
	}
	want := profileOf(cfg, page, script)
	if changed := s.compare(is, want); !changed || s.dry {
		return nil
	}
	if err := s.client.SetMessengerProfile(ctx, want); err != nil {
		return fmt.Errorf("set the messenger profile: %w", err)
	}
	return nil
}

// subscribe adds the fields that are missing. Meta replaces the whole list, so
// that those which somebody else added are kept.
func (s setup) subscribe(ctx context.Context, us messenger.AppID) error {
	all, err := s.client.Subscriptions(ctx)
	if err != nil {
		return fmt.Errorf("read the subscriptions: %w", err)
	}
	var is []string
	for _, sub := range all {
		if sub.App == us {
			is = sub.Fields
		}
	}
	missing := without(fields, is)
	s.say("subscriptions", len(missing) > 0, strings.Join(missing, ", "), "all there")
	if len(missing) == 0 || s.dry {
		return nil
	}
	if err := s.client.Subscribe(ctx, append(slices.Clone(is), missing...)); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// without returns the names of want that are not in have.
func without(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(name string) bool { return slices.Contains(have, name) })
}

// compare tells what is different, and whether anything is.
func (s setup) compare(is, want graph.MessengerProfile) (changed bool) {
	note := func(what, was, will string) {
		switch {
		case will == "":
			s.say(what, false, "", "left as it is: "+orDash(was))
		case was == "":
			s.say(what, true, will, "")
		default:
			s.say(what, was != will, will+"\n      was: "+was, will)
		}
		changed = changed || will != "" && was != will
	}
	note("get started", started(is), started(want))
	note("greeting", greetings(is), greetings(want))
	note("ice breakers", iceBreakers(is), iceBreakers(want))
	note("persistent menu", menus(is), menus(want))
	return changed
}

// say writes a line: + for what is new, = for what stays.
func (s setup) say(what string, changes bool, will, stays string) {
	mark, text := "=", stays
	if changes {
		mark, text = "+", will
	}
	if changes && s.dry {
		what += " (would)"
	}
	fmt.Fprintf(s.out, "  %s %s: %s\n", mark, what, text)
}

func started(p graph.MessengerProfile) string {
	if p.GetStarted == nil {
		return ""
	}
	return p.GetStarted.Payload
}

func greetings(p graph.MessengerProfile) string {
	return byLocale(p.Greeting, func(g graph.Greeting) (string, string) { return g.Locale, g.Text })
}

func iceBreakers(p graph.MessengerProfile) string {
	return byLocale(p.IceBreakers, func(b graph.IceBreakers) (string, string) {
		var all []string
		for _, q := range b.Questions {
			all = append(all, q.Question+" ["+q.Payload+"]")
		}
		return b.Locale, strings.Join(all, " · ")
	})
}

func menus(p graph.MessengerProfile) string {
	return byLocale(p.Menu, func(m graph.Menu) (string, string) {
		var all []string
		for _, b := range m.Items {
			all = append(all, b.Title+" ["+b.Payload+b.URL+"]")
		}
		return m.Locale, strings.Join(all, " · ")
	})
}

// byLocale writes what there is in each locale, the same in whatever order Meta
// returns it.
func byLocale[T any](list []T, read func(T) (locale, text string)) string {
	lines := make([]string, len(list))
	for i, v := range list {
		locale, text := read(v)
		lines[i] = locale + ": " + text
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func pageLabel(p config.Page) string {
	if p.Name == "" {
		return "Page " + p.ID
	}
	return "Page " + p.ID + " (" + p.Name + ")"
}
