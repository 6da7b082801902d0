package watch

import (
	"context"
	"fmt"
	"time"
)

const (
	// most bounds the conversations that are read for one backfill: five minutes of
	// reading, at Meta's pace.
	most = 5000
	// passes bounds how often is looked for conversations that moved to the front
	// while the others were read; calm is how many at most are read at once, so that
	// none can have moved.
	passes = 5
	calm   = 10
)

// backfill looks for what was missed, where something was, and appends it to the
// streams as the webhook would have. It begins once what we said ourselves before it
// is known to be ours, and looks at nothing that was said since: that is delivered.
//
// What cannot be told is left to silence: a message of the Page that we do not know
// to be ours is an agent's. So are those of other apps, whose ids the conversations do
// not tell, and ours whose send Meta took without an answer reaching us.
func (p *page) backfill(ctx context.Context) error {
	w, err := p.Store.Watch(ctx, p.id)
	if err != nil || w.Owed.IsZero() {
		return err
	}
	if err := rest(ctx, p.Settled); err != nil {
		return err
	}
	p.over(Cut)
	since, until := within(w.Owed, w.Now), w.Now
	read, events := 0, 0
	from, began := since, p.Now()
	for range passes {
		n, found, err := p.pass(ctx, from, since, until, most-read)
		if err != nil {
			return err
		}
		read, events = read+n, events+found
		if n <= calm || read >= most {
			break
		}
		from = until                                   // whatever has moved was said in since then
		if err := rest(ctx, time.Second); err != nil { // Meta takes two calls in one
			return err
		}
	}
	if read >= most {
		p.alarm(Cut, nil)
	}
	p.Log.Info().Str("page", string(p.id)).Int("conversations", read).Int("events", events).
		Dur("lasted", p.Now().Sub(began)).Msg("What was missed has been looked for")
	p.Observe(p.id, Backfilled)
	return p.Store.Settle(ctx, p.id, w.Owed)
}

// pass goes through the conversations updated since from, and appends what was said
// in them from since to until. It returns how many there were, and how many events.
func (p *page) pass(ctx context.Context, from, since, until time.Time, limit int) (read, events int, err error) {
	for c, err := range p.graph.Conversations(ctx, from, limit) {
		if err != nil {
			return read, events, fmt.Errorf("read the conversations: %w", err)
		}
		if !p.Responsible(p.id) {
			return read, events, errNotOurs // who looks after it now begins anew
		}
		read++
		evs := found(p.id, c, since, until)
		if len(evs) == 0 {
			continue
		}
		if err := p.Store.Append(ctx, evs); err != nil {
			return read, events, fmt.Errorf("store what was found: %w", err)
		}
		events += len(evs)
	}
	return read, events, nil
}
