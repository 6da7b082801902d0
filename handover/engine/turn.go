package engine

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"usher/handover"
	"usher/messenger"
)

// turn gathers what one round of a partition's loop decides, for one commit.
type turn struct {
	p      *partition
	now    time.Time
	commit handover.Commit
	lines  []Line
	took   []Measure // told once all is durable
	traced []Span    // as well

	touched map[*thread]struct{} // threads whose record may have changed
	ticked  map[*thread]struct{} // threads whose timer fired: it is set anew or removed
	put     map[*effect]struct{} // effects to store
	order   int64                // of the next effect

	nothing messenger.Event // of steps without an event
}

// newTurn returns a turn of so many steps, or a few more.
func newTurn(p *partition, steps int) *turn {
	return &turn{
		p: p, now: p.now(),
		commit:  handover.Commit{Lease: p.lease},
		lines:   make([]Line, 0, steps),
		touched: map[*thread]struct{}{}, ticked: map[*thread]struct{}{}, put: map[*effect]struct{}{},
		order: (p.lease.Seq + 1) << 20, // a commit never holds a million effects
	}
}

// entry is a stream entry, read.
type entry struct {
	thread string
	event  messenger.Event // of an event
	order  *Order          // of an operator's command
	at     time.Time       // Meta's time; the store's where Meta gave none
	raw    handover.Entry
	err    error // the entry cannot be read
}

// readEntries reads the entries of a batch that are new, names their threads, and
// tells how many of the batch it has gone through. It stops behind a deletion: what
// comes after one needs a commit of its own.
func readEntries(raw []handover.Entry) (entries []entry, threads []string, through int) {
	entries, threads = make([]entry, 0, len(raw)), make([]string, 0, len(raw))
	for _, r := range raw {
		through++
		if r.Known {
			continue
		}
		en := readEntry(r)
		entries = append(entries, en)
		if en.thread != "" {
			threads = append(threads, en.thread)
		}
		if en.order != nil && en.order.Command == OrderDelete {
			break
		}
	}
	return entries, threads, through
}

func readEntry(raw handover.Entry) entry {
	en := entry{raw: raw, at: raw.At}
	switch raw.Kind {
	case handover.EntryEvent:
		if en.event, en.err = messenger.UnmarshalEvent(raw.Body); en.err != nil {
			en.err = unreadable(en.err)
			return en
		}
		en.thread = en.event.Thread.String()
		en.event.Accepted = raw.At
		if !en.event.At.IsZero() {
			en.at = en.event.At
		}
	case handover.EntryCommand:
		if en.order, en.err = unmarshalOrder([]byte(raw.Body)); en.err != nil {
			en.err = unreadable(en.err)
			return en
		}
		en.thread = en.order.Thread
	default:
		en.err = fmt.Errorf("entry of unknown kind %q", raw.Kind) //nolint:err113 // it goes to the dlq as text
	}
	return en
}

// inOrder sorts the entries of a batch by Meta's time, thread by thread, stably:
// Meta may deliver out of order. An entry moves before another only where it is
// older at the coarser of their resolutions, so ties stay as they arrived.
// Nothing passes an operator's command.
func inOrder(entries []entry) []entry {
	for i := 1; i < len(entries); i++ {
		en, j := entries[i], i
		for k := i - 1; k >= 0 && en.order == nil && entries[k].order == nil; k-- {
			if entries[k].thread != en.thread {
				continue
			}
			if !handover.Older(en.at, entries[k].at) {
				break
			}
			j = k
		}
		if j < i {
			copy(entries[j+1:i+1], entries[j:i])
			entries[j] = en
		}
	}
	return entries
}

// entry steps a thread by what was accepted.
func (t *turn) entry(en *entry) {
	if en.err != nil {
		t.bury(en.thread, en.err.Error(), en.raw.Body)
		return
	}
	th := t.p.threads[en.thread]
	if th == nil { // deleted within this very turn: it begins anew
		th = &thread{key: en.thread}
		t.p.threads[en.thread] = th
	}
	t.protected(th, en.raw.Body, func() {
		if en.order != nil {
			t.obey(th, *en.order)
			return
		}
		t.event(th, &en.event, false)
	})
}

// entries steps the threads of a batch.
func (t *turn) entries(batch []entry) {
	for i := range batch {
		en := &batch[i]
		if t.p.e.Trace == nil || en.event.Trace == "" {
			t.entry(en)
			continue
		}
		s := Span{Trace: en.event.Trace, Name: "step", Thread: Alias(t.p.e.App, en.thread), Begin: t.p.e.Now()}
		t.entry(en)
		s.End = t.p.e.Now()
		t.traced = append(t.traced, s)
	}
}

// tick steps a thread by its timer.
func (t *turn) tick(th *thread) {
	if th == nil || th.gone {
		return
	}
	t.ticked[th] = struct{}{}
	if due := th.rec.State.Wake(); !due.IsZero() {
		t.took = append(t.took, Measure{Late, th.page(), t.now.Sub(due)})
	}
	s := t.step(th, "timer", "timer:"+strconv.FormatInt(th.rec.State.Deadline.UnixMilli(), 10))
	if s.pg != nil {
		t.protected(th, "", func() {
			s.quiet = true
			s.decide(handover.Tick{})
			s.done()
		})
	}
	if wake := th.rec.State.Wake(); !wake.IsZero() && !wake.After(t.now) {
		// Nothing came of it (the Page is gone, the step panicked): not again at once.
		th.rec.State.Deadline = t.now.Add(time.Hour)
		t.touched[th] = struct{}{}
	}
}

// protected runs a step and tells whether it did not panic. Where it did, the
// thread is left as it was, and what it stumbled over is set aside: a poison event
// must not stop its partition.
func (t *turn) protected(th *thread, body string, step func()) (fine bool) {
	rec, queue := th.rec, slices.Clone(th.queue)
	drop, echoed, episodes := len(t.commit.Drop), len(t.commit.Echoed), len(t.commit.Episodes)
	lines, threads := len(t.lines), len(t.commit.Threads)
	t.touched[th] = struct{}{}
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		th.rec, th.queue = rec, queue
		t.commit.Drop, t.commit.Echoed = t.commit.Drop[:drop], t.commit.Echoed[:echoed]
		t.commit.Episodes, t.commit.Threads = t.commit.Episodes[:episodes], t.commit.Threads[:threads]
		t.lines = t.lines[:lines]
		for f := range t.put {
			if f.Thread == th.key {
				delete(t.put, f)
			}
		}
		for _, f := range queue { // some may have been settled
			f.over = false
			t.put[f] = struct{}{}
		}
		t.p.requeue(th)
		t.p.e.Log.Error().EmbedObject(t.p.e.named(th.key)).Str("cause", panicked(r)).Bytes("stack", debug.Stack()).
			Msg("Event made the step panic; it is set aside in the dlq")
		t.bury(th.key, panicked(r), body)
	}()
	step()
	return true
}

// bury sets something aside with its cause.
func (t *turn) bury(thread, cause, body string) {
	t.commit.Buried = append(t.commit.Buried, handover.Buried{Thread: thread, Cause: cause, Body: []byte(body), At: t.now})
	t.p.e.Log.Error().EmbedObject(t.p.e.named(thread)).Str("cause", cause).Msg("Event set aside in the dlq")
	t.line(Line{Thread: thread, What: "buried", Error: cause})
}

// line adds a line of history.
func (t *turn) line(l Line) {
	l.At = t.now
	t.lines = append(t.lines, l)
}

// finish returns what must be committed; nil where nothing has changed.
func (t *turn) finish() (*handover.Commit, error) {
	c := &t.commit
	c.Now = t.now
	for th := range t.ticked {
		t.touched[th] = struct{}{}
	}
	c.Threads = slices.Grow(c.Threads, len(t.touched))
	for th := range t.touched {
		if err := t.write(th); err != nil {
			return nil, err
		}
	}
	c.Put, c.History = make([]handover.Pending, 0, len(t.put)), make([]handover.HistoryWrite, 0, len(t.lines))
	for f := range t.put {
		pending, err := f.marshal()
		if err != nil {
			return nil, err
		}
		c.Put = append(c.Put, pending)
	}
	for i := range t.lines {
		if t.lines[i].Thread == "" {
			continue
		}
		body, err := t.lines[i].marshal()
		if err != nil {
			return nil, fmt.Errorf("encode history: %w", err)
		}
		c.History = append(c.History, handover.HistoryWrite{Thread: t.lines[i].Thread, Body: body})
	}
	if len(c.Consumed)+len(c.Threads)+len(c.Put)+len(c.Drop)+len(c.Echoed)+len(c.History)+len(c.Buried)+len(c.Episodes) == 0 {
		return nil, nil //nolint:nilnil // nothing to commit is no error
	}
	return c, nil
}

// keepEvery is how often the history of a busy thread is stored for as long again: it
// may be gone so much sooner than its thread.
const keepEvery = time.Hour

// write adds a thread to the commit, where its record or its timer has changed.
func (t *turn) write(th *thread) error {
	if th.gone {
		return nil // its deletion stands in the commit already
	}
	th.gen.Store(th.rec.State.Generation)
	body, err := th.rec.marshal()
	if err != nil {
		return fmt.Errorf("encode thread: %w", err)
	}
	_, ticked := t.ticked[th]
	unknown := th.stored == nil && string(body) == emptyRecord
	switch {
	case unknown && ticked: // forgotten, but for its timer
		t.commit.Threads = append(t.commit.Threads, handover.ThreadWrite{Thread: th.key})
	case unknown: // nothing to remember of a thread that only read, say
	case ticked, !bytes.Equal(body, th.stored):
		keep := t.now.Sub(th.kept).Abs() >= keepEvery
		if keep {
			th.kept = t.now
		}
		t.commit.Threads = append(t.commit.Threads, handover.ThreadWrite{Thread: th.key, Body: body, Wake: th.rec.State.Wake(), Keep: keep})
		th.stored = body
	}
	return nil
}

// emptyRecord is the stored form of a thread of which nothing is known.
const emptyRecord = `{"state":{}}`

// committed acts on a commit that is durable: it tells of it, and settles the
// effects that were found to have been sent before. The commit had begun at begun.
func (t *turn) committed(known []string, begun time.Time) {
	for _, l := range t.lines {
		t.p.e.tell(l)
	}
	for _, m := range t.took {
		t.p.e.Measure(m)
	}
	for _, s := range t.traced {
		t.p.e.Trace(s)
		s.Name, s.Begin, s.End = "commit", begun, t.p.e.Now()
		t.p.e.Trace(s)
	}
	for _, w := range t.commit.Threads {
		if !w.Wake.IsZero() && (t.p.nextDue.IsZero() || w.Wake.Before(t.p.nextDue)) {
			t.p.nextDue = w.Wake
		}
	}
	for f := range t.put {
		if slices.Contains(known, f.ID) {
			th := t.p.threads[f.Thread]
			f.known = true
			t.p.results.put(result{th: th, f: f, end: ended, outcome: handover.OK, known: true})
		}
	}
}

// tell logs a line of history where an operator may want to know, and passes it
// to the observer.
func (e *Engine) tell(l Line) {
	e.Observe(l)
	if l.Moved {
		e.Log.Info().EmbedObject(e.named(l.Thread)).Stringer("from", l.From).Stringer("to", l.To).
			Str("cause", string(l.Cause)).Msg("Thread changed hands")
	}
	if l.Alarm != "" {
		e.Log.Error().EmbedObject(e.named(l.Thread)).Str("alarm", l.Alarm).
			Str("mend", handover.AlarmReason(l.Alarm).Mend()).Msg("Handover needs an operator")
	}
}
