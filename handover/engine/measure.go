package engine

import (
	"strings"
	"time"

	"usher/messenger"
)

// Measure is what something took, for who watches the engine.
type Measure struct {
	What Quantity
	Page messenger.PageID // "" where it concerns none
	Took time.Duration
}

// Quantity says what a [Measure] is of.
type Quantity uint8

// The quantities. What has passed since an event was accepted is by the store's
// clock.
const (
	Lag        Quantity = iota // from the acceptance of an entry to the commit of what it led to
	Reply                      // from the acceptance of an event to the first words that it led to
	FirstReply                 // from a handoff to the agent's first message
	Late                       // from when a timer was due to its decision
	Commit                     // from the first attempt at a commit until its outcome is known
)

// Stats are how it stands with this process, and what it has counted since it
// began.
type Stats struct {
	Partitions int           // owned
	Lost       int64         // leases that another process has taken
	Reloaded   int64         // partitions loaded anew, as the store had forgotten commits
	Slowed     int64         // calls of Ease that had to wait
	Pending    int64         // effects in the outbox of what is owned
	Oldest     time.Duration // since the oldest of them was decided; 0 where there is none
}

// Stats returns how it stands.
func (e *Engine) Stats() Stats {
	s := Stats{Lost: e.lost.Load(), Reloaded: e.reloaded.Load(), Slowed: e.slowed.Load()}
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Partitions = len(e.partitions)
	for _, p := range e.partitions {
		if n := p.pending.Load(); n > 0 {
			s.Pending += n
			s.Oldest = max(s.Oldest, now.Sub(p.born)-time.Duration(p.oldest.Load()))
		}
	}
	return s
}

// page returns the thread's Page.
func (th *thread) page() messenger.PageID { return pageOf(th.key) }

func pageOf(thread string) messenger.PageID {
	page, _, _ := strings.Cut(thread, ":")
	return messenger.PageID(page)
}

// count keeps for Stats what is in the outbox. Of a thread the head is the oldest.
func (p *partition) count() {
	var pending int
	var age time.Duration
	now := p.now()
	for th := range p.queued {
		pending += len(th.queue)
		age = max(age, now.Sub(th.queue[0].At))
	}
	p.oldest.Store(int64(p.e.Now().Sub(p.born) - age))
	p.pending.Store(int64(pending))
}

// End names in a word how the call ended that a line is of: "ok", "refused",
// "failed", "given_up", "retried", "held" where Meta takes no calls, "unsure",
// "cancelled", "expired" or "overtaken"; "" for a line of no call.
func (l Line) End() string {
	if l.Call == "" {
		return ""
	}
	word, _, _ := strings.Cut(l.Outcome, ":")
	switch word {
	case outcomeGivenUp:
		return "given_up"
	case outcomeRetry:
		return "retried"
	case outcomeHeld:
		return "held"
	case outcomeUnsure:
		return "unsure"
	case outcomeEchoed:
		return "ok"
	case outcomeDropped:
		return "overtaken"
	}
	return word
}

// Outcomes in a line of history that are not those of Graph, up to the colon.
const (
	outcomeEchoed    = "ok, by its echo"
	outcomeRetry     = "failed, again later"
	outcomeGivenUp   = "failed, given up"
	outcomeHeld      = "must wait"
	outcomeUnsure    = "unknown, its echo decides"
	outcomeCancelled = "cancelled"
	outcomeExpired   = "expired"
	outcomeDropped   = "dropped"
)
