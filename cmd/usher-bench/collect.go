package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/cmd/usher-bench/check"
	"usher/handover/engine"
	"usher/messenger"
)

// historyCap is how many lines of a thread Usher keeps.
const historyCap = 200

// collect reads what Usher stored of each thread. No replica may be running.
func (s *stage) collect(ctx context.Context) ([]check.Thread, error) {
	threads := s.witness.threads()
	timers, err := s.timers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read timers: %w", err)
	}
	for i := range threads {
		t := &threads[i]
		if t.Stored, err = s.stored(ctx, t); err != nil {
			return nil, fmt.Errorf("read thread %s: %w", t.Name, err)
		}
		t.Timer = timers[t.Name]
	}
	return threads, nil
}

// stored returns what is stored of a thread, but for its timer.
func (s *stage) stored(ctx context.Context, t *check.Thread) (is check.Stored, err error) {
	key, err := messenger.ParseThreadKey(t.Name)
	if err != nil {
		return is, err
	}
	body, history, pending, _, err := s.store.Thread(ctx, key)
	if err != nil {
		return is, err
	}
	if body != nil {
		snap, err := engine.UnmarshalThread(body)
		if err != nil {
			return is, err
		}
		is.State = snap.State
	}
	for _, b := range history {
		l, err := engine.UnmarshalLine(b)
		if err != nil {
			return is, err
		}
		is.History = append(is.History, l)
	}
	is.Cut = len(history) >= historyCap
	for _, b := range pending {
		f, err := engine.UnmarshalPending(b)
		if err != nil {
			return is, err
		}
		is.Pending = append(is.Pending, f.ID)
	}
	is.Echoed, err = s.echoed(ctx, key, t.Told)
	return is, err
}

// echoed returns which of the effects whose echo was told are remembered.
func (s *stage) echoed(ctx context.Context, key messenger.ThreadKey, told []check.Told) (map[string]bool, error) {
	var effects []string
	var members []any
	for _, t := range told {
		if t.By == check.Us {
			effects = append(effects, t.Effect)
			members = append(members, t.Effect)
		}
	}
	if len(effects) == 0 {
		return nil, nil //nolint:nilnil // nothing to look for
	}
	known := make(map[string]bool, len(effects))
	for _, set := range idSets(key.Partition(partitions)) {
		are, err := s.redis.client.SMIsMember(ctx, set, members...).Result()
		if err != nil {
			return nil, err
		}
		for i, is := range are {
			known[effects[i]] = known[effects[i]] || is
		}
	}
	return known, nil
}

// timers returns all timers, by thread.
func (s *stage) timers(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	for p := range partitions {
		set, err := s.redis.client.ZRangeWithScores(ctx, fmt.Sprintf("usher:{p%d}:tm", p), 0, -1).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
		for _, z := range set {
			thread, _ := z.Member.(string)
			all[thread] = time.UnixMilli(int64(z.Score))
		}
	}
	return all, nil
}

// buriedCause is why a bad event is set aside, see [saboteur.offerBadEvent].
const buriedCause = "Page is not among messenger.pages"

// evidence gathers all that is known of a run, once the replicas have ended.
func (s *saboteur) evidence(ctx context.Context, entries, effects int64) (check.Evidence, error) {
	threads, err := s.collect(ctx)
	if err != nil {
		return check.Evidence{}, err
	}
	buried, err := s.store.Buried(ctx, 1_000_000)
	if err != nil {
		return check.Evidence{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	seen := s.fleet.evidence
	e := check.Evidence{
		Threads: threads, Buried: map[string]int{}, BadEvents: map[string]int{}, Entries: entries, Effects: effects,
		Answers: seen.answers, Fence: check.Fence{Lost: seen.lost, Reloaded: seen.reloaded, Probes: s.probes, Accepted: s.opened},
		Stops: seen.stops, Starts: seen.starts, LogLines: seen.lines, Leaks: seen.leaks, Panics: seen.panics,
		Excused: s.excused, Away: s.without, Failovers: s.failed, Ended: s.ended, Times: s.times,
	}
	for _, b := range buried {
		e.Buried[b.Cause]++
	}
	if s.bad > 0 {
		e.BadEvents[buriedCause] = s.bad
	}
	slices.SortFunc(e.Away, func(a, b check.Span) int { return a.From.Compare(b.From) })
	slices.SortFunc(e.Excused, func(a, b check.Span) int { return a.From.Compare(b.From) })
	slices.SortFunc(e.Threads, func(a, b check.Thread) int { return cmp.Compare(a.Name, b.Name) })
	return e, nil
}
