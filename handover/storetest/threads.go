//nolint:thelper // these are tests: a failure names their lines
package storetest

import (
	"fmt"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

// stored returns the body of a thread, nil for none, and its history.
func (b *bench) stored(t *testing.T, key messenger.ThreadKey) (body []byte, history []string) {
	t.Helper()
	body, lines, _, _, err := b.Thread(t.Context(), key)
	must(t, err)
	return body, strs(lines)
}

func timersAreToldWhenDue(t *testing.T, b *bench) {
	const p = 2
	lease := b.acquire(t, p, "owner")
	names := make([]string, 4)
	for i := range names {
		names[i] = threadIn(p, i).String()
	}
	now := b.read(t, p, 0).Now
	set := func(thread string, wake time.Time) {
		t.Helper()
		b.commit(t, &lease, handover.Commit{Threads: []handover.ThreadWrite{{Thread: thread, Body: []byte("{}"), Wake: wake}}})
	}
	set(names[0], now.Add(2*time.Hour))
	set(names[1], now.Add(time.Hour))
	set(names[2], now.Add(30*time.Hour))
	set(names[3], now) // at once
	batch := b.read(t, p, 10)
	wantEqual(t, "due", batch.Due, []string{names[3]})
	wantEqual(t, "next timer", batch.NextDue, now.Add(time.Hour))
	set(names[3], time.Time{})
	wantEqual(t, "due after it was taken away", len(b.read(t, p, 10).Due), 0)

	b.Advance(3 * time.Hour)
	wantEqual(t, "due, the most overdue first", b.read(t, p, 10).Due, []string{names[1], names[0]})
	wantEqual(t, "due, at most one", b.read(t, p, 1).Due, []string{names[1]})
	set(names[1], b.read(t, p, 0).Now.Add(time.Hour)) // put off
	wantEqual(t, "due after one was put off", b.read(t, p, 10).Due, []string{names[0]})

	b.Advance(40 * time.Hour)
	for _, name := range names {
		set(name, time.Time{})
	}
	batch = b.read(t, p, 10)
	wantEqual(t, "due without timers", len(batch.Due), 0)
	wantEqual(t, "next timer without timers", batch.NextDue, time.Time{})
}

func threadsExpire(t *testing.T, b *bench) {
	const p = 4
	lease := b.acquire(t, p, "owner")
	old, fresh, busy := threadIn(p, 0), threadIn(p, 1), threadIn(p, 2)
	write := func(keep bool, keys ...messenger.ThreadKey) {
		t.Helper()
		c := handover.Commit{}
		for _, k := range keys {
			c.Threads = append(c.Threads, handover.ThreadWrite{Thread: k.String(), Body: []byte("{}"), Keep: keep})
			c.History = append(c.History, handover.HistoryWrite{Thread: k.String(), Body: []byte("line")})
		}
		b.commit(t, &lease, c)
	}
	write(false, old, fresh, busy)
	b.Advance(Retention - time.Hour)
	write(true, fresh)
	write(false, busy)
	b.Advance(2 * time.Hour)
	body, history := b.stored(t, old)
	wantEqual(t, "what is left of a thread after its retention", fmt.Sprintf("%v %v", body == nil, history), "true []")
	body, history = b.stored(t, fresh)
	wantEqual(t, "a thread that changed", fmt.Sprintf("%s %v", body, history), "{} [line line]")
	body, history = b.stored(t, busy)
	wantEqual(t, "a thread that changed, whose history was not kept", fmt.Sprintf("%s %v", body, history), "{} []")
}

// A long time limit must not find its thread forgotten.
func aThreadOutlivesItsTimer(t *testing.T, b *bench) {
	const p = 6
	lease := b.acquire(t, p, "owner")
	key := threadIn(p, 0)
	wake := b.read(t, p, 0).Now.Add(Retention + 24*time.Hour)
	b.commit(t, &lease, handover.Commit{Threads: []handover.ThreadWrite{{Thread: key.String(), Body: []byte("{}"), Wake: wake}}})
	b.Advance(Retention + 25*time.Hour)
	wantEqual(t, "due", b.read(t, p, 10).Due, []string{key.String()})
	body, _ := b.stored(t, key)
	wantEqual(t, "thread whose timer is due", string(body), "{}")
}

func historiesAreCapped(t *testing.T, b *bench) {
	const p = 8
	lease := b.acquire(t, p, "owner")
	one, two := threadIn(p, 0), threadIn(p, 1)
	var c handover.Commit
	for _, line := range numbered("line", HistoryCap+2) {
		c.History = append(c.History, handover.HistoryWrite{Thread: one.String(), Body: []byte(line)})
	}
	c.History = append(c.History, handover.HistoryWrite{Thread: two.String(), Body: []byte("its own")})
	b.commit(t, &lease, c)
	_, history := b.stored(t, one)
	wantEqual(t, "history", history, numbered("line", HistoryCap+2)[2:])
	b.commit(t, &lease, handover.Commit{History: []handover.HistoryWrite{{Thread: one.String(), Body: []byte("last")}}})
	_, history = b.stored(t, one)
	wantEqual(t, "history", history, append(numbered("line", HistoryCap+2)[3:], "last"))
	_, history = b.stored(t, two)
	wantEqual(t, "history of another thread", history, []string{"its own"})
	for thread, want := range map[string]bool{one.String(): false, two.String(): true, threadIn(p, 2).String(): true} {
		lines, whole, err := b.History(t.Context(), p, thread)
		must(t, err)
		if whole != want || want != (len(lines) < HistoryCap) {
			t.Errorf("History(%s) = %d lines, whole: %v", thread, len(lines), whole)
		}
	}
}

func whatIsSetAsideIsCapped(t *testing.T, b *bench) {
	const p = 10
	lease := b.acquire(t, p, "owner")
	now := b.read(t, p, 0).Now
	for i, cause := range numbered("cause", BuriedCap+2) {
		b.commit(t, &lease, handover.Commit{Buried: []handover.Buried{{Cause: cause, Body: []byte("x"), At: now.Add(time.Duration(i) * time.Millisecond)}}})
	}
	buried, err := b.Buried(t.Context(), 100)
	must(t, err)
	var causes []string
	for _, d := range buried {
		causes = append(causes, d.Cause)
	}
	wantEqual(t, "set aside, newest first", causes, []string{"cause5", "cause4", "cause3", "cause2"})
	buried, err = b.Buried(t.Context(), 2)
	must(t, err)
	wantEqual(t, "newest two", buried, []handover.Buried{
		{Cause: "cause5", Body: []byte("x"), At: now.Add(5 * time.Millisecond)},
		{Cause: "cause4", Body: []byte("x"), At: now.Add(4 * time.Millisecond)},
	})
}

func episodesAreCapped(t *testing.T, b *bench) {
	lease := b.acquire(t, 12, "owner")
	for _, body := range numbered("episode", EpisodesCap+2) {
		b.commit(t, &lease, handover.Commit{Episodes: [][]byte{[]byte(body)}})
	}
	episodes, err := b.Episodes(t.Context(), 100)
	must(t, err)
	wantEqual(t, "episodes, newest first", strs(episodes), []string{"episode4", "episode3", "episode2"})
	episodes, err = b.Episodes(t.Context(), 1)
	must(t, err)
	wantEqual(t, "newest episode", strs(episodes), []string{"episode4"})
}

func aDeletedThreadIsGone(t *testing.T, b *bench) {
	const p = 14
	lease := b.acquire(t, p, "owner")
	gone, stays := threadIn(p, 0), threadIn(p, 1)
	now := b.read(t, p, 0).Now
	var c handover.Commit
	for _, k := range []messenger.ThreadKey{gone, stays} {
		c.Threads = append(c.Threads, handover.ThreadWrite{Thread: k.String(), Body: []byte("{}"), Wake: now})
		c.History = append(c.History, handover.HistoryWrite{Thread: k.String(), Body: []byte("line")})
	}
	b.commit(t, &lease, c)
	b.commit(t, &lease, handover.Commit{Threads: []handover.ThreadWrite{{Thread: gone.String(), Wake: now}}})

	body, history := b.stored(t, gone)
	wantEqual(t, "what is left", fmt.Sprintf("%v %v", body == nil, history), "true []")
	body, history = b.stored(t, stays)
	wantEqual(t, "the other thread", fmt.Sprintf("%s %v", body, history), "{} [line]")
	wantEqual(t, "due", b.read(t, p, 10).Due, []string{stays.String()})
}

// A customer may write again in the very batch in which the thread is deleted.
func aThreadBornAgain(t *testing.T, b *bench) {
	const p = 16
	lease := b.acquire(t, p, "owner")
	key := threadIn(p, 0)
	now := b.read(t, p, 0).Now
	line := func(s string) []handover.HistoryWrite {
		return []handover.HistoryWrite{{Thread: key.String(), Body: []byte(s)}}
	}
	b.commit(t, &lease, handover.Commit{
		Threads: []handover.ThreadWrite{{Thread: key.String(), Body: []byte("old"), Wake: now}}, History: line("old"),
	})
	b.commit(t, &lease, handover.Commit{
		Threads: []handover.ThreadWrite{{Thread: key.String()}, {Thread: key.String(), Body: []byte("new")}}, History: line("new"),
	})
	body, history := b.stored(t, key)
	wantEqual(t, "the thread born again", fmt.Sprintf("%s %v", body, history), "new [new]")
	wantEqual(t, "due", len(b.read(t, p, 10).Due), 0)
}
