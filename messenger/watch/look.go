package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"usher/messenger/graph"
)

// look looks at the subscriptions of the Page, sets right what is wrong, and looks
// for what was missed.
func (p *page) look(ctx context.Context) {
	p.again = p.Now().Add(p.Every)
	err := p.subscribed(ctx)
	if err == nil && p.Backfill {
		err = p.backfill(ctx)
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, errNotOurs):
	case err == nil:
		p.faults = 0
		p.over(Unread)
	default:
		p.trouble(err)
	}
	w, err := p.share(ctx)
	if err == nil && silent(w, p.Silence) && !p.is(Unsubscribed) {
		p.alarm(Silent, nil)
	}
}

// subscribed sees to it that the Page is subscribed to all that we need.
func (p *page) subscribed(ctx context.Context) error {
	w, err := p.Store.Watch(ctx, p.id)
	if err != nil {
		return err
	}
	subs, err := p.graph.Subscriptions(ctx)
	if err != nil {
		return fmt.Errorf("read the subscriptions: %w", err)
	}
	missing, union := lacking(subs, p.App, p.Fields)
	since, missed := gap(w)
	if missed && (len(missing) > 0 || unwatched(w)) { // noted before it can be forgotten
		if err := p.Store.Owe(ctx, p.id, since); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		p.over(Unsubscribed)
		return p.Store.Whole(ctx, p.id)
	}
	if missed { // before the first start it is nobody's fault
		p.alarm(Unsubscribed, fmt.Errorf("%w: %d of %d fields", errMissing, len(missing), len(p.Fields)))
	}
	if err := p.graph.Subscribe(ctx, union); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	p.Log.Info().Str("page", string(p.id)).Msg("Page is subscribed")
	p.Observe(p.id, Resubscribed)
	return p.Store.Whole(ctx, p.id)
}

var (
	// errMissing reports fields that the Page is not subscribed to.
	errMissing = errors.New("subscriptions are missing")
	// errNotOurs reports that another process looks after the Page by now.
	errNotOurs = errors.New("another process looks after the Page")
)

// patientFor is how many faults in a row are not worth an alarm, where they may pass.
const patientFor = 3

// trouble takes into account that a look failed.
func (p *page) trouble(err error) {
	e, ofMeta := errors.AsType[*graph.Error](err)
	if ofMeta {
		p.faults++
		p.again = p.Now().Add(max(p.Every, e.RetryAfter))
	}
	passing := errors.Is(err, graph.ErrTransient) || errors.Is(err, graph.ErrUnknownOutcome) || errors.Is(err, graph.ErrRateLimited)
	if ofMeta && !passing || p.faults >= patientFor {
		p.alarm(Unread, err)
		return
	}
	p.Log.Warn().Err(err).Str("page", string(p.id)).Msg("Deliveries not looked after; trying again")
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
