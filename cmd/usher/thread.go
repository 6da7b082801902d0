package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"usher/config"
	"usher/handover/engine"
	"usher/handover/redisstore"
	"usher/messenger"
)

// threadCommand is `usher thread`.
func (p *program) threadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "thread",
		Short: "Look at threads, and move them by hand",
		Long: `Looks at threads and moves them by hand, through the same Redis and the same stream
as everything else: some replica of usher serve carries a command out.

A thread is named PAGE:PSID, or by the PSID alone where there is one Page.`,
		Example: `  usher thread list
  usher thread show 1000000000000001:7000000000000001
  usher thread pass 7000000000000001 --to inbox
  usher thread take 7000000000000001`,
	}
	file := ""
	c.PersistentFlags().StringVarP(&file, "config", "c", "usher.yaml", `settings file; "" for the environment alone`)
	c.AddCommand(
		p.threadListCommand(&file),
		p.threadShowCommand(&file),
		p.orderCommand(&file, engine.OrderPass, "Hand a thread over to people", `Says so to the customer and passes the thread, to handover.target or to another app,
as if the customer had asked for it.`, "usher thread pass 7000000000000001 --to inbox"),
		p.orderCommand(&file, engine.OrderTake, "Take a thread back for the bot", `Takes control of the thread from whoever has it. Nothing is said; the bot's first
answer will tell that it is automated.`, "usher thread take 7000000000000001"),
		p.orderCommand(&file, engine.OrderRelease, "Give control of a thread back to nobody", `Gives up control of a thread that the bot has: it falls idle, and the Page's
default app answers it next.`, "usher thread release 7000000000000001"),
		p.threadExportCommand(&file),
		p.threadDeleteCommand(&file),
	)
	return c
}

// operator is what the thread commands work with.
type operator struct {
	p     *program
	cfg   config.Config
	store *redisstore.Store
}

// operate runs do with the store that the settings name.
func (p *program) operate(ctx context.Context, file string, do func(operator) error) (err error) {
	cfg, _, err := p.load(file)
	if err != nil {
		return err
	}
	rdb, closeRedis, err := joinRedis(ctx, cfg.Redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeRedis()) }()
	store, err := newStore(cfg, rdb)
	if err != nil {
		return err
	}
	if _, err := store.Open(ctx); err != nil {
		return fmt.Errorf("open %s: %w", cfg.Redis.Server, err)
	}
	return do(operator{p: p, cfg: cfg, store: store})
}

var (
	errNoThread = errors.New("nothing is stored of this thread")
	errNotDone  = errors.New("the command is stored, but no usher serve has carried it out yet; it will when one runs: see usher thread show")
	errNotSure  = usagef("this cannot be undone: add --yes")
)

// thread reads the name of a thread.
func (o operator) thread(name string) (messenger.ThreadKey, error) {
	key, err := messenger.ParseThreadKey(name)
	if err == nil && key.PSID != "" {
		return key, nil
	}
	if pages := o.cfg.Messenger.Pages; err != nil && len(pages) == 1 && name != "" {
		if key, err := messenger.ParseThreadKey(pages[0].ID + ":" + name); err == nil {
			return key, nil
		}
	}
	return messenger.ThreadKey{}, usagef("%q names no thread: want PAGE:PSID, or the PSID where there is one Page", name)
}

// orderCommand is a command that a replica carries out.
func (p *program) orderCommand(file *string, command engine.Command, short, long, example string) *cobra.Command {
	to := ""
	c := &cobra.Command{
		Use: string(command) + " THREAD", Short: short, Long: long, Example: "  " + example, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.operate(cmd.Context(), *file, func(o operator) error {
				key, err := o.thread(args[0])
				if err != nil {
					return err
				}
				target, err := o.target(to)
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(o.cfg.Messenger.Pages, func(p config.Page) bool { return p.ID == string(key.Page) }) {
					return usagef("Page %s is not among messenger.pages: nobody could carry this out", key.Page)
				}
				return o.order(cmd.Context(), key, engine.Order{Command: command, Target: target})
			})
		},
	}
	if command == engine.OrderPass {
		c.Flags().StringVar(&to, "to", "", "who gets it: inbox, an app id, or a name from handover.targets (default handover.target)")
	}
	return c
}

// target reads --to.
func (o operator) target(to string) (messenger.AppID, error) {
	if to == "" {
		return "", nil
	}
	h := o.cfg.Handover
	h.Target = to
	switch app := h.TargetApp(); app {
	case "":
		return "", usagef("--to: %q is neither inbox, an app id, nor a name from handover.targets", to)
	case o.cfg.Messenger.AppID:
		return "", usagef("--to: %s is our own app: see usher thread take", app)
	default:
		return messenger.AppID(app), nil
	}
}

// Waiting for a replica to carry out a command.
const (
	orderTimeout = 10 * time.Second
	orderPoll    = 50 * time.Millisecond
)

// order stores a command and prints what came of it.
func (o operator) order(ctx context.Context, key messenger.ThreadKey, order engine.Order) error {
	order.ID, order.Thread = rand.Text(), key.String()
	body, err := order.Marshal()
	if err != nil {
		return err
	}
	if err := o.store.Command(ctx, key, order.ID, body); err != nil {
		return err
	}
	if order.Command == engine.OrderDelete {
		return await(ctx, func() (bool, error) {
			stored, history, _, _, err := o.store.Thread(ctx, key)
			return stored == nil && len(history) == 0, err
		})
	}
	return await(ctx, func() (bool, error) {
		_, history, _, _, err := o.store.Thread(ctx, key)
		if err != nil {
			return false, err
		}
		for _, b := range history {
			l, err := engine.UnmarshalLine(b)
			if err == nil && l.ID == engine.OrderLine(order.ID) {
				writeLine(o.p.stdout, l)
				return true, nil
			}
		}
		return false, nil
	})
}

// await asks done until it says so.
func await(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	tick := time.NewTicker(orderPoll)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil && ctx.Err() != nil {
			return errNotDone
		}
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errNotDone
		}
	}
}

// threadDeleteCommand is `usher thread delete`.
func (p *program) threadDeleteCommand(file *string) *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use: "delete THREAD", Short: "Forget all that is stored of a thread", Args: cobra.ExactArgs(1),
		Long: `Forgets a thread: its state, history, timers, pending replies, episodes, and what was
set aside of it. What the customer sees in Messenger stays.`,
		Example: "  usher thread delete 7000000000000001 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return errNotSure
			}
			return p.operate(cmd.Context(), *file, func(o operator) error {
				key, err := o.thread(args[0])
				if err != nil {
					return err
				}
				if err := o.order(cmd.Context(), key, engine.Order{Command: engine.OrderDelete}); err != nil {
					return err
				}
				if err := o.store.Forget(cmd.Context(), key); err != nil {
					return err
				}
				fmt.Fprintf(p.stdout, "%s is forgotten\n", key)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "really")
	return c
}

// export is all that is stored of a thread.
type export struct {
	Thread   string            `json:"thread"`
	State    json.RawMessage   `json:"state,omitempty"`
	History  []engine.Line     `json:"history,omitempty"`
	Pending  []json.RawMessage `json:"pending,omitempty"`
	Buried   []buried          `json:"dlq,omitempty"`
	Episodes []json.RawMessage `json:"episodes,omitempty"` // that ended, newest first
}

// buried is what was set aside; its body may be anything.
type buried struct {
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
	Body  string    `json:"body"`
}

// threadExportCommand is `usher thread export`.
func (p *program) threadExportCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use: "export THREAD", Short: "Print all that is stored of a thread, as JSON", Args: cobra.ExactArgs(1),
		Long: `Prints all that is stored of a thread, as JSON: for the person whom it is about.
Pending replies and what was set aside contain words.`,
		Example: "  usher thread export 7000000000000001 >thread.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.operate(cmd.Context(), *file, func(o operator) error { return o.export(cmd.Context(), args[0]) })
		},
	}
}

func (o operator) export(ctx context.Context, name string) error {
	key, err := o.thread(name)
	if err != nil {
		return err
	}
	state, history, pending, set, err := o.store.Thread(ctx, key)
	if err != nil {
		return err
	}
	episodes, err := o.episodes(ctx, key)
	if err != nil {
		return err
	}
	if state == nil && len(history)+len(pending)+len(set)+len(episodes) == 0 {
		return fmt.Errorf("%s: %w", key, errNoThread)
	}
	out := export{Thread: key.String(), State: state, Episodes: episodes}
	for _, b := range history {
		l, err := engine.UnmarshalLine(b)
		if err != nil {
			return fmt.Errorf("history as stored: %w", err)
		}
		out.History = append(out.History, l)
	}
	for _, b := range pending {
		out.Pending = append(out.Pending, b)
	}
	for _, b := range set {
		out.Buried = append(out.Buried, buried{At: b.At, Cause: b.Cause, Body: string(b.Body)})
	}
	enc := json.NewEncoder(o.p.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// allEpisodes is more than a partition keeps.
const allEpisodes = 1 << 20

// episodes returns the episodes of a thread that ended.
func (o operator) episodes(ctx context.Context, key messenger.ThreadKey) ([]json.RawMessage, error) {
	all, err := o.store.Episodes(ctx, allEpisodes)
	if err != nil {
		return nil, err
	}
	var of []json.RawMessage
	for _, body := range all {
		var ep struct {
			Thread string `json:"thread"`
		}
		if json.Unmarshal(body, &ep) == nil && ep.Thread == key.String() {
			of = append(of, body)
		}
	}
	return of, nil
}
