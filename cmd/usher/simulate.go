package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"usher/config"
	"usher/messenger"
	"usher/messenger/simulator"
	scenes "usher/messenger/simulator/scene" // demo has a scene of its own
)

// simulation is what `usher simulate` was asked for.
type simulation struct {
	listen, webhook string
	page            simulator.Options
	settings        simulator.Settings
	doubts          []string
	done            string
	ledger          string
	wait, patience  time.Duration
	chaos           uint64
	every           time.Duration
	scripts         []string
	update, openAPI bool
}

// simulateCommand is `usher simulate`.
func (p *program) simulateCommand() *cobra.Command {
	s := simulation{}
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate Messenger for any bot",
		Long: `Simulates a Page at Meta for any bot, in any language: the Graph API that the bot
calls, the webhooks that it is sent, a customer and an agent whom you play by
typing, and a control API for tests at /_simulator/. Routing, standby, control
that lapses and refused calls are as Meta documents them.

With --script it plays scenes instead and compares what came of them: against your
bot at --webhook, or, without one, with every app acted by the script.

` + playHelp,
		Example: `  usher simulate --webhook http://127.0.0.1:5000/webhook
  usher simulate --webhook http://127.0.0.1:5000/webhook --script scenes/hello.txt
  usher simulate --script scenes/hello.txt --update
  usher simulate --zero-config --doubt menu_hidden --doubt take_told=all --ledger ledger.jsonl
  usher simulate --openapi > simulator.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.openAPI {
				_, err := p.stdout.Write(simulator.OpenAPI())
				return err
			}
			if err := s.read(); err != nil {
				return &usageError{err}
			}
			return p.simulate(cmd.Context(), s)
		},
	}
	s.flags(c)
	for flag, words := range map[string][]string{"done": {"pass", "release", "nothing"}, "doubt": simulator.SettingNames()} {
		err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic(err) // the flag is there: it was just made
		}
	}
	return c
}

func (s *simulation) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8090", "where the Graph API is served")
	f.StringVar(&s.webhook, "webhook", "", "your bot's webhook: http://127.0.0.1:5000/webhook")
	f.DurationVar(&s.wait, "wait", 10*time.Second, "how long the webhook may take to be there")
	f.StringVar((*string)(&s.page.App), "app-id", string(stageApp), "your bot's app id")
	f.StringVar(&s.page.AppSecret, "app-secret", "simulator-app-secret", "signs the webhooks")
	f.StringVar(&s.page.VerifyToken, "verify-token", "simulator-verify-token", "is shown to the webhook at the start")
	f.StringVar((*string)(&s.page.Page), "page-id", string(stagePage), "the Page's id")
	f.StringVar(&s.page.PageToken, "page-token", "simulator-page-token", "the access token of your bot's calls")
	f.StringVar(&s.page.ControlToken, "control-token", "", "bearer token of the control API; without one it serves this machine only")
	f.BoolVar(&s.page.ZeroConfig, "zero-config", false, "leave the Page without a default app")
	f.StringVar((*string)(&s.page.DefaultApp), "default-app", "", "the id of the app that answers a thread which nobody controls (default your bot)")
	f.StringVar(&s.done, "done", "pass", "what Done does in the inbox: pass, release or nothing")
	f.StringArrayVar(&s.doubts, "doubt", nil, "a switch for what Meta leaves open, name or name=value; repeatable")
	f.IntVar(&s.page.Batch, "batch", 1, "how many events one webhook may carry, 1 to 1000")
	f.BoolVar(&s.page.EnforceRate, "enforce-rate", false, "refuse calls over Meta's limits; the usage headers tell how near they are in any case")
	f.Uint64Var(&s.page.Seed, "seed", 0, "makes ids and chances repeatable; 0 draws one")
	f.Uint64Var(&s.chaos, "chaos", 0, "let calls and webhooks fail over time, drawn from a seed; 0 is never")
	f.DurationVar(&s.every, "chaos-every", 10*time.Second, "about how often")
	f.StringVar(&s.ledger, "ledger", "", "append what happens to a file, as JSON lines")
	f.StringArrayVar(&s.scripts, "script", nil, "play a scene; repeatable")
	f.BoolVar(&s.update, "update", false, "write what came of the scenes into their files")
	f.DurationVar(&s.patience, "patience", 5*time.Second, "how long your bot may take for what a scene expects")
	f.BoolVar(&s.openAPI, "openapi", false, "print the control API's OpenAPI document, and end")
}

// read makes settings of the flags.
func (s *simulation) read() error {
	var errs []error
	set := func(flag, name, value string) {
		if err := s.settings.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	s.settings.Take = true
	set("done", "done", s.done)
	for _, doubt := range s.doubts {
		name, value, ok := strings.Cut(doubt, "=")
		if !ok {
			value = "true"
		}
		if name == "default_app" {
			errs = append(errs, errors.New("--doubt default_app: use --default-app"))
			continue
		}
		set("doubt", name, value)
	}
	if s.update && len(s.scripts) == 0 {
		errs = append(errs, errors.New("--update needs --script"))
	}
	if s.chaos != 0 && len(s.scripts) > 0 {
		errs = append(errs, errors.New("--chaos and --script exclude each other: what fails would be no scene's; in it, write meta fails"))
	}
	if s.every <= 0 {
		errs = append(errs, fmt.Errorf("--chaos-every %s: want more than 0s", s.every))
	}
	if s.patience <= 0 {
		errs = append(errs, fmt.Errorf("--patience %s: want more than 0s", s.patience))
	}
	o := &s.page
	o.Done, o.Doubts, o.AppIDs, o.TakeForbidden = s.settings.Done, s.settings.Doubts, s.settings.AppIDs, !s.settings.Take
	o.WebhookURL, o.KeepBodies, o.PageName = s.webhook, true, "Simulated Page"
	return errors.Join(errs...)
}

// simulate serves a Page until ctx ends, or plays scenes on it.
func (p *program) simulate(ctx context.Context, s simulation) (err error) {
	if s.ledger != "" {
		book, openErr := openLedger(s.ledger)
		if openErr != nil {
			return openErr
		}
		s.page.Log = book.write
		defer func() { err = errors.Join(err, book.close()) }()
	}
	if len(s.scripts) > 0 {
		return p.playScenes(ctx, s)
	}
	s.page.Clock = simulator.RunningClock()
	meta, err := simulator.New(s.page) //nolint:contextcheck // Meta delivers in its own time
	if err != nil {
		return &usageError{err}
	}
	defer meta.Close()
	return p.served(ctx, s, meta, func(ctx context.Context, out *printer) error {
		if s.chaos != 0 {
			meta.Chaos(s.chaos, s.every)
		}
		return p.stayAt(ctx, s, meta, out)
	})
}

// served serves the Page while act runs, once the webhook is verified.
func (p *program) served(ctx context.Context, s simulation, meta *simulator.Meta, act func(context.Context, *printer) error) (err error) {
	at, err := listen(ctx, "--listen", s.listen)
	if err != nil {
		return err
	}
	server := startServer(meta, at, zerolog.Nop())
	defer func() { err = errors.Join(err, server.http.Close()) }() // who waits for the ledger does not keep us
	out := &printer{w: p.stdout, colours: isTerminal(p.stdout) && !p.noColour()}
	base := "http://" + at.Addr().String()
	out.print("", `A Page is simulated at %s. Tell your bot:
  Graph URL     %s (in place of https://graph.facebook.com; with /v26.0 or without)
  access token  %s (of the Page %s)
  app id        %s
  app secret    %s (signs the webhooks)
  verify token  %s (comes with the GET to its webhook)
The control API is at %s/_simulator/, described by %s/_simulator/openapi.yaml.`,
		base, base, s.page.PageToken, s.page.Page, s.page.App, s.page.AppSecret, s.page.VerifyToken, base, base)
	if s.webhook == "" {
		out.print("", "Webhooks go nowhere: name your bot's with --webhook URL.")
	} else {
		if err := p.verify(ctx, s, meta); err != nil {
			return err
		}
		out.print("", "Webhooks go to %s, which returned the challenge.", s.webhook)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case failed := <-server.failed:
			stop(failed)
		case <-ctx.Done():
		}
	}()
	err = act(ctx, out)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// knock is how often a webhook that is not there yet is asked again.
const knock = 100 * time.Millisecond

// verify shows the webhook the verify token. A bot that is still starting is
// waited for.
func (*program) verify(ctx context.Context, s simulation, meta *simulator.Meta) error {
	ctx, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	for {
		err := meta.VerifyWebhook(ctx)
		if _, absent := errors.AsType[*net.OpError](err); absent && rest(ctx, knock) == nil {
			continue
		} else if absent || ctx.Err() != nil {
			return fmt.Errorf("%w: nobody answered within %s; start your bot, or mend --webhook", err, s.wait)
		}
		if err != nil {
			return fmt.Errorf("%w; your bot must answer GET %s with hub.challenge as text, when hub.verify_token is %q",
				err, s.webhook, s.page.VerifyToken)
		}
		return nil
	}
}

// stayAt tells what happens, and lets people type.
func (p *program) stayAt(ctx context.Context, s simulation, meta *simulator.Meta, out *printer) error {
	ann := &typist{meta: meta, out: out, customer: meta.Customer(stagePSID).Named("Ann", "Lee").Speaks("en_US")}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		scenes.Watch(watching, scenes.Watched{
			Meta: meta, Page: s.page.Page, Apps: map[string]messenger.AppID{"bot": s.page.App, "inbox": messenger.PageInbox},
			Customers: map[string]messenger.PSID{"ann": stagePSID},
			Tell: func(at time.Time, line string) {
				out.print(colourOf(line), "%s  %s", at.Local().Format("15:04:05"), line)
			},
		})
	})
	defer watch.Wait()
	defer stop()
	prompt := ""
	if isTerminal(p.stdin) {
		prompt = "> "
	}
	out.print("", "You are Ann, who writes to the Page.\n%s\n  Ctrl-C ends it.", playHelp)
	if err := obeyTyped(ctx, p.stdin, out, prompt, ann); err != nil || prompt != "" {
		return err // whoever typed /quit, or Ctrl-D, is done
	}
	<-ctx.Done()
	return nil
}

func colourOf(line string) string {
	switch {
	case strings.Contains(line, ": refused "), strings.Contains(line, " → "):
		return red
	case strings.HasPrefix(line, "to "):
		return dim
	case strings.HasPrefix(line, "bot "):
		return green
	case strings.HasPrefix(line, "agent "):
		return yellow
	}
	return bold
}

// typist is a customer and an agent whom one plays by typing.
type typist struct {
	meta     *simulator.Meta
	out      *printer
	customer *simulator.Customer
}

func (t *typist) says(_ context.Context, text string) error {
	_, err := t.customer.Says(text) //nolint:contextcheck // Meta delivers in its own time
	return err
}

func (t *typist) taps(_ context.Context, title string) error {
	_, err := t.customer.Taps(title)
	return err
}

func (t *typist) agent(_ context.Context, text string) error {
	_, err := t.meta.Agent().Replies(t.customer.PSID(), text) //nolint:contextcheck // Meta delivers in its own time
	return err
}

func (t *typist) done(context.Context) error {
	return t.meta.Agent().Done(t.customer.PSID()) //nolint:contextcheck // Meta delivers in its own time
}

// later puts Meta's clock forward; the bot's is its own.
func (t *typist) later(ctx context.Context, text string) error {
	d, err := config.ParseDuration(text)
	if err != nil {
		return err
	}
	return t.meta.Forward(ctx, d)
}

func (t *typist) who(context.Context) error {
	app, until := t.meta.Owner(t.customer.PSID())
	if app == "" {
		t.out.print("", "Nobody controls Ann's thread: it is idle.")
		return nil
	}
	t.out.print("", "App %s controls Ann's thread until %s.", app, until.Local().Format(time.RFC1123))
	return nil
}

// playScenes plays scenes, and says where they differ.
func (p *program) playScenes(ctx context.Context, s simulation) error {
	var all []*scenes.Scene
	var faults []error
	for _, file := range s.scripts {
		src, err := readScript(file)
		if err == nil && len(src) > maxScript {
			err = fmt.Errorf("%s is longer than %d bytes", file, maxScript) //nolint:err113 // shown once, to a person
		}
		if err != nil {
			return &usageError{err}
		}
		sc, err := scenes.Parse(file, src)
		all, faults = append(all, sc), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return &usageError{err}
	}
	opt := scenes.Options{Page: s.page, Update: s.update}
	if s.webhook != "" {
		opt.Patience = s.patience
	}
	stage, err := scenes.Open(opt) //nolint:contextcheck // Meta delivers in its own time
	if err != nil {
		return &usageError{err}
	}
	defer stage.Close()
	if s.webhook == "" {
		return p.compare(ctx, s, stage, all)
	}
	return p.served(ctx, s, stage.Meta(), func(ctx context.Context, _ *printer) error { return p.compare(ctx, s, stage, all) })
}

// compare plays scenes and compares, or writes, what came of them.
func (p *program) compare(ctx context.Context, s simulation, stage *scenes.Stage, all []*scenes.Scene) error {
	different := 0
	for _, sc := range all {
		got, err := stage.Play(ctx, sc)
		if err != nil {
			return err
		}
		diff := scenes.Diff(sc.Name, sc.Source, got)
		switch {
		case diff == "":
			fmt.Fprintf(p.stdout, "%s: as written\n", sc.Name)
		case s.update:
			if err := os.WriteFile(sc.Name, []byte(got), 0o600); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s: written anew\n", sc.Name)
		default:
			different++
			fmt.Fprint(p.stdout, diff)
		}
	}
	if different > 0 {
		return fmt.Errorf("%d of %s went otherwise than written", different, plural(len(all), "scene")) //nolint:err113 // shown once, to a person
	}
	return nil
}

// ledgerFile is a ledger on disk.
type ledgerFile struct {
	file *os.File
	enc  *json.Encoder
	err  error // the first
}

func openLedger(path string) (*ledgerFile, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("--ledger: %w", err)
	}
	return &ledgerFile{file: f, enc: json.NewEncoder(f)}, nil
}

// write appends an entry. The simulator calls it one at a time.
func (l *ledgerFile) write(e simulator.Entry) {
	if l.err == nil {
		l.err = l.enc.Encode(e)
	}
}

// close ends the file once nothing is written any more.
func (l *ledgerFile) close() error { return errors.Join(l.err, l.file.Close()) }
