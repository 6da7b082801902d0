package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"usher/handover"
	"usher/messenger"
)

// What a partition brings into memory, and what it lets go.

// cacheSize is how many threads are kept in memory that nothing is pending for.
const cacheSize = 128

// open loads the outbox. Where the last owner was cut off, what is in it may have been
// sent, the head of each thread's and, as a failover may have forgotten the ends of
// calls, what comes after it: their echoes are waited for.
func (p *partition) open(ctx context.Context) error {
	if _, err := p.read(ctx, 1); err != nil { // the clock
		return err
	}
	pending, err := p.e.store.Outbox(ctx, p.n)
	if err != nil {
		return fmt.Errorf("load outbox of partition %d: %w", p.n, err)
	}
	effects := make([]*effect, 0, len(pending))
	var keys []string
	for _, b := range pending {
		f := new(effect)
		if err := json.Unmarshal(b.Body, f); err != nil {
			p.e.Log.Error().Err(unreadable(err)).Int("partition", p.n).Str("effect", b.ID).Msg("Effect in the outbox cannot be read; it stays there")
			continue
		}
		effects = append(effects, f)
		keys = append(keys, f.Thread)
	}
	if err := p.load(ctx, keys); err != nil {
		return err
	}
	slices.SortFunc(effects, func(a, b *effect) int { return int(min(max(a.Order-b.Order, -1), 1)) })
	for _, f := range effects {
		th := p.threads[f.Thread]
		th.queue = append(th.queue, f)
		p.requeue(th)
	}
	if p.lease.Clean {
		return nil
	}
	grace := p.now().Add(p.e.EchoGrace)
	for _, f := range effects {
		f.Unsure, f.NotBefore = true, grace
	}
	return nil
}

// load brings threads into memory.
func (p *partition) load(ctx context.Context, keys []string) error {
	slices.Sort(keys)
	keys = slices.DeleteFunc(slices.Compact(keys), func(k string) bool { return p.threads[k] != nil })
	if len(keys) == 0 {
		return nil
	}
	bodies, err := p.e.store.Load(ctx, p.n, keys)
	if err != nil {
		return fmt.Errorf("load threads of partition %d: %w", p.n, err)
	}
	for i, k := range keys {
		th := &thread{key: k, stored: bodies[i]}
		if bodies[i] != nil {
			if err := json.Unmarshal(bodies[i], &th.rec); err != nil {
				p.e.Log.Error().Err(unreadable(err)).EmbedObject(p.e.named(k)).Msg("Thread cannot be read; people have it until its limit")
				th.rec = record{State: p.unreadable(k)}
			}
		}
		th.gen.Store(th.rec.State.Generation)
		p.threads[k] = th
	}
	return nil
}

// unreadable is the state of a thread whose own cannot be read. It is not guessed
// at: people have the thread, where silence is safe, and the time limit ends that.
func (p *partition) unreadable(thread string) handover.State {
	s := handover.State{Phase: handover.Human, Cause: handover.CauseControlLost, Since: p.now(), Passed: true}
	key, _ := messenger.ParseThreadKey(thread) // a bad key has no Page, and no limit
	if pg := p.e.pages[key.Page]; pg != nil && pg.Rules.TimeLimit > 0 {
		s.Deadline = s.Since.Add(pg.Rules.TimeLimit)
	}
	return s
}

// forget drops threads from memory that nothing is pending for, when there are many.
func (p *partition) forget() {
	if len(p.threads) <= cacheSize {
		return
	}
	for k, th := range p.threads {
		if len(th.queue) == 0 && th.sender == nil {
			delete(p.threads, k)
		}
	}
}
