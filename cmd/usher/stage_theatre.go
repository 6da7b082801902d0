package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"usher/bot"
	"usher/cmd/usher/page"
	"usher/config"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// theatre is what the demo's page shows: a stage with its customers, the time line
// of what happens there, and the situations that can be played on it. It is a
// [page.Stage].
type theatre struct {
	theatreOptions
	*show

	log  *timeLine
	fuse atomic.Pointer[func(*http.Request)] // told of each call of Usher's to Graph

	doing sync.Mutex   // one act at a time
	using sync.RWMutex // held for writing while the show is replaced

	playing sync.Mutex // for what follows
	play    *play      // under way
	results map[string]result
}

// theatreOptions are what a theatre is made of.
type theatreOptions struct {
	cfg    config.Config
	script *bot.Script
	// pause is left between the steps of a situation, for people to read.
	pause time.Duration
	// patience bounds what a situation waits for.
	patience time.Duration
	// inbox, where given, stands before Usher's: tests break it there.
	inbox func(*theatre, webhook.Inbox) webhook.Inbox
	// start is the number before the time line's first; see newTimeLine.
	start int64
}

// show is a stage and what is known of it, until it is reset.
type show struct {
	stage *stage
	tally *tally

	// Never held while Meta is asked: Meta tells of what happens while it is locked.
	mu        sync.Mutex
	cast      []role
	graphDown bool
	done      string // what Done does
}

// role is a customer.
type role struct {
	psid         messenger.PSID
	name, locale string
}

// maxCast is how many customers there can be.
const maxCast = 24

// openTheatre opens one, with three customers.
func openTheatre(ctx context.Context, o theatreOptions) (*theatre, error) {
	t := &theatre{theatreOptions: o, log: newTimeLine(o.start), results: map[string]result{}}
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// open opens a new show.
func (t *theatre) open(ctx context.Context) (err error) {
	sh := &show{tally: newTally(), done: doneWays[0]}
	sh.stage, err = openStage(ctx, t.cfg, t.script, observers{
		line: func(l engine.Line) {
			sh.tally.line(l)
			if e, ok := lineEntry(l); ok {
				t.log.add(e)
			} else {
				t.log.touch()
			}
		},
		meta: func(e simulator.Entry) {
			sh.tally.meta(e)
			if e, ok := ledgerEntry(e, sh.name); ok {
				t.log.add(e)
			} else {
				t.log.touch()
			}
		},
		call: func(r *http.Request) {
			if told := t.fuse.Load(); told != nil {
				(*told)(r)
			}
		},
		inbox: func(in webhook.Inbox) webhook.Inbox {
			if t.inbox == nil {
				return in
			}
			return t.inbox(t, in)
		},
	})
	if err != nil {
		return err
	}
	t.show = sh
	for _, r := range []role{{name: "Ann Lee", locale: "en_US"}, {name: "Omar Haddad", locale: "ar_AR"}, {name: "Zoë Müller", locale: "de_DE"}} {
		sh.enter(r.name, r.locale)
	}
	if err := sh.setUp(ctx); err != nil {
		return errors.Join(err, sh.stage.stop())
	}
	return nil
}

// setUp does what `usher setup` does: it sets what the Page shows, and subscribes
// it to what Usher must be told.
func (sh *show) setUp(ctx context.Context) error {
	cfg := sh.stage.cfg
	client, err := newGraph(cfg, cfg.Messenger.Pages[0], sh.stage.meta.Client().Transport)
	if err != nil {
		return err
	}
	if err := client.SetMessengerProfile(ctx, profileOf(cfg, cfg.Messenger.Pages[0], sh.stage.script)); err != nil {
		return fmt.Errorf("set the messenger profile: %w", err)
	}
	if err := client.Subscribe(ctx, simulator.DefaultFields()); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// close ends what plays and closes the stage.
func (t *theatre) close() error {
	t.doing.Lock()
	defer t.doing.Unlock()
	t.halt()
	return t.stage.stop()
}

// enter makes a customer.
func (sh *show) enter(name, locale string) {
	first, last, _ := strings.Cut(name, " ")
	sh.mu.Lock()
	psid := messenger.PSID(fmt.Sprintf("%016d", 7000000000000001+len(sh.cast)))
	sh.cast = append(sh.cast, role{psid: psid, name: name, locale: locale})
	sh.mu.Unlock()
	sh.stage.meta.Customer(psid).Named(first, last).Speaks(locale)
}

// roles returns the customers in the order in which they were made.
func (sh *show) roles() []role {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return slices.Clone(sh.cast)
}

// name returns a customer's first name.
func (sh *show) name(psid messenger.PSID) string {
	for _, r := range sh.roles() {
		if r.psid == psid {
			first, _, _ := strings.Cut(r.name, " ")
			return first
		}
	}
	return "The customer"
}

// Log is the time line.
func (t *theatre) Log(after int64, limit int) (entries []page.Entry, changed <-chan struct{}) {
	return t.log.since(after, limit)
}

// world tells of something that happens to the world.
func (t *theatre) world(psid messenger.PSID, tone, format string, args ...any) {
	t.log.add(page.Entry{At: t.stage.clock.now(), PSID: psid, Kind: kindWorld, Tone: tone, Title: fmt.Sprintf(format, args...)})
}

var _ page.Stage = (*theatre)(nil)
