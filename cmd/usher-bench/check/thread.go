package check

import (
	"slices"
	"strings"
	"time"

	"usher/handover"
	"usher/handover/engine"
)

// effect is something that a line of history decided.
type effect struct {
	line  int       // of History
	what  string    // as history describes it: "answer", "take"
	ended time.Time // when a later line tells how its call ended, for good; zero where none does
	sends []Call    // that Meta carried out
}

// says tells whether the effect is a message.
func (f *effect) says() bool {
	return f.what == "answer" || strings.HasPrefix(f.what, "say ") || strings.HasPrefix(f.what, "say_and_pass")
}

// story is a thread, read.
type story struct {
	*Thread

	lines   map[string][]int // of History, by the event that they decide
	effects map[string]*effect
	order   []string // ids of effects, as they were decided
	dropped map[string]int
}

// thread judges one conversation.
func (j *judge) thread(t *Thread) {
	j.f.Threads++
	j.f.Events += len(t.Told)
	if t.Cut {
		j.f.CutHistories++
		return
	}
	s := read(t)
	if from := s.tookUnaware(j.e.Times.CallTimeout); !from.IsZero() {
		s.doubt(from)
	}
	j.accepted(s)
	j.ordered(s)
	j.together(s)
	j.sent(s)
	j.silent(s)
	j.ends(s)
}

// read sorts a thread's history into decisions, effects and ends of calls.
func read(t *Thread) *story {
	s := &story{Thread: t, lines: map[string][]int{}, effects: map[string]*effect{}, dropped: map[string]int{}}
	for i, l := range t.History {
		switch {
		case l.What == "call":
			if id, ok := strings.CutPrefix(l.ID, "call:"); ok && final(l) {
				s.end(id[:max(strings.LastIndexByte(id, ':'), 0)], l.At)
			}
		case l.What == "overtaken":
			s.end(l.ID, l.At)
		case l.ID != "" && l.What != "timer":
			s.lines[l.ID] = append(s.lines[l.ID], i)
		}
		for n, what := range l.Effects {
			f := &effect{line: i, what: what}
			id := engine.EffectID(t.Name, l.ID, n, f.says())
			s.effects[id] = f
			s.order = append(s.order, id)
		}
		for _, note := range l.Notes {
			for _, end := range []string{"cancelled: ", "dropped: "} {
				if what, ok := strings.CutPrefix(note, end); ok {
					s.dropped[what]++
				}
			}
		}
	}
	for _, c := range t.Calls {
		if f := s.effects[c.Effect]; f != nil && c.Sent {
			f.sends = append(f.sends, c)
		}
	}
	return s
}

// tookUnaware returns when an agent acted of whom Usher was told only after it had
// decided to take the thread back: the call may have come before or after, or both
// where it was made again after a crash. From then on who has it is a matter of which
// came first. It is zero where that was not so.
func (s *story) tookUnaware(call time.Duration) (from time.Time) {
	for _, f := range s.effects {
		if f.what != "take" {
			continue
		}
		decided := s.History[f.line].At
		last := decided
		if f.ended.After(last) {
			last = f.ended
		}
		for _, t := range s.Told {
			unaware := (t.By == Agent || t.By == Meta) && t.At.Before(last.Add(call)) && t.Acked.After(decided)
			if unaware && (from.IsZero() || t.At.Before(from)) {
				from = t.At
			}
		}
	}
	return from
}

// doubt lets anything come of what was said from a time on.
func (s *story) doubt(from time.Time) {
	t := *s.Thread
	t.Told = slices.Clone(t.Told)
	for i := range t.Told {
		if !t.Told[i].At.Before(from) {
			t.Told[i].Want = Anything
		}
	}
	s.Thread = &t
}

// final tells whether a call is not made again.
func final(l engine.Line) bool {
	return l.Outcome != "must wait" && l.Outcome != "unknown, its echo decides" && l.Outcome != "failed, again later"
}

func (s *story) end(id string, at time.Time) {
	if f := s.effects[id]; f != nil {
		f.ended = at
	}
}

// decisions returns the lines that decide an event: the first, and those after
// it had waited.
func (s *story) decisions(id string) (lines []int) {
	for ; len(s.lines[id]) > 0; id += "!" {
		lines = append(lines, s.lines[id]...)
	}
	return lines
}

// passedAgain tells whether an act comes after a handoff that was carried out twice: an
// agent may have given the thread back in between. The second time it has no words
// where their echo had come. Once the thread has come back there is no doubt any more.
func (s *story) passedAgain(at time.Time, call time.Duration) bool {
	for _, f := range s.effects {
		if !strings.HasPrefix(f.what, "say_and_pass") || len(f.sends) == 0 {
			continue
		}
		first, last := f.sends[0].At, f.sends[len(f.sends)-1].At
		for _, p := range s.Passes {
			if p.After(last) && p.Before(f.ended.Add(call)) {
				last = p
			}
		}
		if last.After(first) && at.After(first) && !s.back(last, at) {
			return true
		}
	}
	return false
}

// back tells whether the thread came back to the bot between two times; one that was
// given back did so when Meta says.
func (s *story) back(from, to time.Time) bool {
	given := map[string]time.Time{}
	for _, t := range s.Told {
		if t.By == Meta {
			given[t.ID] = t.At
		}
	}
	return slices.ContainsFunc(s.History, func(l engine.Line) bool {
		at, known := given[l.ID]
		if !known {
			at = l.At
		}
		return l.Moved && l.To == handover.Bot && at.After(from) && at.Before(to)
	})
}

// saidBefore tells whether Meta sent what an event asks for, by a decision that a
// failover may have made Usher forget. What was done after it lasts: when the event is
// decided again people may have the thread, since a handoff was forgotten as well.
func (j *judge) saidBefore(s *story, t Told) bool {
	id := engine.EffectID(s.Name, t.ID, 0, true)
	return slices.ContainsFunc(s.Calls, func(c Call) bool {
		return c.Sent && c.Effect == id && strings.Contains(c.Text, t.Text) && j.forgotten(c)
	})
}

// answers tells whether an event was decided to be answered.
func (s *story) answers(id string) bool {
	for _, i := range s.decisions(id) {
		if slices.ContainsFunc(s.History[i].Effects, func(what string) bool { return what == "answer" || strings.HasPrefix(what, "say") }) {
			return true
		}
	}
	return false
}

// accepted judges G1 and G2: every acknowledged event left its trace, once.
func (j *judge) accepted(s *story) {
	for _, t := range s.Told {
		if t.Accepted == (Place{}) {
			continue // Meta was not told that it had arrived
		}
		j.f.Acknowledged++
		if t.Copies > 1 {
			j.f.Repeated++
		}
		if t.By == Us {
			ok := s.Echoed[t.Effect]
			j.g[g1].expect(ok, "%s: the echo %s of effect %s was acknowledged and is not remembered", s.Name, t.ID, t.Effect)
			j.lost(!ok)
			continue
		}
		lines := s.decisions(t.ID)
		if len(lines) == 0 {
			j.g[g1].broke("%s: %s was acknowledged and never decided", s.Name, t.ID)
			j.lost(true)
			continue
		}
		answered := s.answers(t.ID) || s.passedAgain(t.At, j.e.Times.CallTimeout) || j.saidBefore(s, t)
		j.g[g1].expect(t.Want != Answer || answered, "%s: %s was decided without an answer: %q", s.Name, t.ID, s.History[lines[len(lines)-1]].Notes)
		twice := false
		for id := t.ID; len(s.lines[id]) > 0; id += "!" {
			twice = twice || len(s.lines[id]) > 1
		}
		j.g[g2].expect(!twice, "%s: %s was decided more than once", s.Name, t.ID)
		if twice {
			j.f.DecidedTwice++
		}
	}
}

func (j *judge) lost(yes bool) {
	if yes {
		j.f.Lost++
	}
}

// ordered judges G3. An event may pass another that was accepted before it only
// where it is older by Meta's time, as one that Meta delivered late.
func (j *judge) ordered(s *story) {
	var decided []Told
	first := map[string]int{}
	for _, t := range s.Told {
		if lines := s.decisions(t.ID); t.By == Customer && len(lines) > 0 && t.Accepted != (Place{}) {
			first[t.ID] = lines[0]
			decided = append(decided, t)
		}
	}
	slices.SortFunc(decided, func(a, b Told) int { return first[a.ID] - first[b.ID] })
	for i, a := range decided {
		passed := slices.IndexFunc(decided[i+1:], func(b Told) bool { return b.Accepted.Before(a.First) && !a.At.Before(b.At) })
		j.g[g3].expect(passed < 0, "%s: %s was decided before an event that was accepted earlier", s.Name, a.ID)
		if passed >= 0 {
			j.f.OutOfOrder++
		}
	}
}

// together judges G5: each change of hands begins where the last one ended, the
// state is where the last one left it, its timer is set, and all that is pending
// was decided.
func (j *judge) together(s *story) {
	phase := handover.Bot
	for _, l := range s.History {
		if !l.Moved {
			continue
		}
		j.g[g5].expect(l.From == phase, "%s: at %s it went from %v to %v, but %v had it", s.Name, l.ID, l.From, l.To, phase)
		phase = l.To
		switch l.To {
		case handover.Waiting:
			j.f.Handoffs++
		case handover.Bot:
			j.f.Ends++
		case handover.Human, handover.Solved:
		}
	}
	j.g[g5].expect(s.State.Phase == phase, "%s: %v has it, but its history ends with %v", s.Name, s.State.Phase, phase)
	wake := s.State.Wake()
	j.g[g5].expect(wake.UnixMilli() == s.Timer.UnixMilli(), "%s: it wants to be woken at %v, its timer is %v", s.Name, wake, s.Timer)
	for _, id := range s.Pending {
		j.g[g5].expect(s.effects[id] != nil, "%s: effect %s is pending, and no line of history decided it", s.Name, id)
	}
}

// sent judges G6, and the order of G7.
func (j *judge) sent(s *story) {
	unsent := map[string]int{}
	for _, id := range s.order {
		f := s.effects[id]
		settled := len(f.sends) > 0 || !f.ended.IsZero() || slices.Contains(s.Pending, id)
		if !settled && unsent[f.what] < s.dropped[f.what] {
			unsent[f.what]++
			settled = true
		}
		j.g[g6].expect(settled, "%s: effect %s (%s) of %s was neither sent nor reported", s.Name, id, f.what, s.History[f.line].ID)
		if f.says() && settled && len(f.sends) == 0 {
			j.f.Dropped++
		}
		j.copies(s, id, f)
	}
	for _, c := range s.Calls {
		switch {
		case !c.Sent:
			j.f.RefusedSends++
		case s.effects[c.Effect] != nil:
		case j.forgotten(c):
			j.f.Forgotten++
		default:
			j.g[g6].broke("%s: Meta sent %s, which no line of history decided", s.Name, c.EchoID)
		}
	}
	j.inOrder(s)
}

// copies judges second copies of a message: there may be one only where the echo
// of none before had been acknowledged when its call began. A call is under way for
// up to a timeout, and what was acknowledged has still to be read.
func (j *judge) copies(s *story, id string, f *effect) {
	j.f.Sends += len(f.sends)
	for i, c := range f.sends {
		if i == 0 {
			continue
		}
		j.f.Duplicates++
		var came time.Duration // how long ago
		late := false
		for _, before := range f.sends[:i] {
			switch at := s.acked(before.EchoID); {
			case at.IsZero() || j.forgotten(before):
			case at.Before(c.At):
				came = max(came, c.At.Sub(at))
			default:
				late = true
			}
		}
		told := came > j.e.Times.CallTimeout
		switch {
		case told:
			j.f.Unexplained++
		case came > 0:
			j.f.Raced++
		case late:
			j.f.EchoLate++
		default:
			j.f.EchoLost++
		}
		j.g[g6].expect(!told, "%s: effect %s was sent again after its echo had come", s.Name, id)
	}
}

// forgotten tells whether the decision to send may have been lost by a failover.
func (j *judge) forgotten(c Call) bool {
	return slices.ContainsFunc(j.e.Failovers, func(s Span) bool { return !c.At.Before(s.From) && !c.At.After(s.To) })
}

// acked returns when an event was acknowledged; zero for never.
func (s *story) acked(id string) time.Time {
	for _, t := range s.Told {
		if t.ID == id {
			return t.Acked
		}
	}
	return time.Time{}
}

// inOrder judges the first copies of a thread's messages.
func (j *judge) inOrder(s *story) {
	var last int64
	var before string
	for _, id := range s.order {
		f := s.effects[id]
		if !f.says() || len(f.sends) == 0 || j.forgotten(f.sends[0]) {
			continue
		}
		seq := f.sends[0].Seq
		j.g[g7].expect(seq > last, "%s: effect %s was sent before %s, which was decided first", s.Name, id, before)
		last, before = max(last, seq), id
	}
}

// silent judges the rest of G7: nothing is answered that was said to people, the
// right words are said, and nothing is begun under an owner that has gone.
func (j *judge) silent(s *story) {
	for _, t := range s.Told {
		lines := s.decisions(t.ID)
		switch {
		case len(lines) == 0:
		case t.Want == Anything && t.By == Customer:
			j.f.UnclearWants++
		case t.Want == Silence && s.History[lines[len(lines)-1]].At.Sub(t.At) > j.e.Times.Limit/2:
			j.f.UnclearWants++ // it came so late that the limit may have been over
		case t.Want == Silence:
			j.g[g7].expect(!s.answers(t.ID), "%s: %s was said to people, and the bot answered", s.Name, t.ID)
		case t.Want == Answer:
			j.words(s, t, lines)
		}
	}
	for _, c := range s.Calls {
		f := s.effects[c.Effect]
		if f == nil {
			continue
		}
		over := s.overruled(f.line)
		known := !over.IsZero() && c.At.Sub(over) > j.e.Times.Lease+j.e.Times.CallTimeout
		j.g[g7].expect(!known, "%s: effect %s reached Meta at %v, others had the thread since %v", s.Name, c.Effect, c.At, over)
		if known {
			j.f.WrongOwner++
		}
	}
}

// words compares what was said with what had to be said. Usher may put a
// disclosure before it.
func (j *judge) words(s *story, t Told, lines []int) {
	for _, i := range lines {
		for n, what := range s.History[i].Effects {
			f := &effect{what: what}
			for _, c := range s.effects[engine.EffectID(s.Name, s.History[i].ID, n, f.says())].sends {
				j.g[g7].expect(strings.Contains(c.Text, t.Text), "%s: %s was answered with other words", s.Name, t.ID)
			}
		}
	}
}

// overruled returns when others' acts took the thread away after a line; zero if
// they did not.
func (s *story) overruled(line int) time.Time {
	for _, l := range s.History[line+1:] {
		if !l.Moved {
			continue
		}
		switch l.Cause { //nolint:exhaustive // those by others
		case handover.CauseAgentSpoke, handover.CauseControlTaken, handover.CauseControlPassed, handover.CauseControlLost:
			return l.At
		}
	}
	return time.Time{}
}

// slack is what is allowed over the limit: the second that is promised, and what a
// busy machine adds to it.
const slack = 2 * time.Second

// ends judges G8: a limit counts from the handoff, and from each agent's message
// on. What was excused does not count. One that was over long before the end has
// to have been seen.
func (j *judge) ends(s *story) {
	if j.e.Times.Limit == 0 {
		return
	}
	agents := s.agents()
	var due, seen time.Time
	phase := handover.Bot
	for _, l := range s.History {
		if l.Moved {
			phase = l.To
		}
		people := phase == handover.Waiting || phase == handover.Human
		switch {
		case !people:
			due = time.Time{}
		case l.Moved && l.From != handover.Waiting, agents[l.ID] && !slices.Contains(l.Notes, string(handover.NoteLate)):
			due = l.At.Add(j.e.Times.Limit)
		}
		if l.What == "timer" && slices.Contains(l.Effects, "take") && !due.IsZero() {
			late := l.At.Sub(due) - j.excused(due, l.At)
			j.g[g8].expect(late <= slack && l.At.After(due.Add(-slack)), "%s: its limit was over at %v, and it was taken back at %v", s.Name, due, l.At)
			seen = due
		}
	}
	if !due.Equal(seen) {
		j.unseen(s, due)
	}
}

// unseen judges a limit that nothing came of.
func (j *judge) unseen(s *story, due time.Time) {
	if end := j.e.Ended; !due.IsZero() && end.Sub(due)-j.excused(due, end) > slack {
		j.g[g8].broke("%s: its limit was over at %v, and nothing came of it until %v", s.Name, due, end)
	}
}

// agents returns which events are an agent's words.
func (s *story) agents() map[string]bool {
	ids := map[string]bool{}
	for _, t := range s.Told {
		if t.By == Agent {
			ids[t.ID] = true
		}
	}
	return ids
}

// excused returns how much of the time between two was excused.
func (j *judge) excused(from, to time.Time) time.Duration { return overlap(j.e.Excused, from, to) }

// overlap returns how much of the time between two lies in spans, which stand in the
// order of their beginning, and may overlap.
func overlap(spans []Span, from, to time.Time) (sum time.Duration) {
	for _, s := range spans {
		if s.From.After(from) {
			from = s.From
		}
		end := s.To
		if end.After(to) {
			end = to
		}
		if end.After(from) {
			sum += end.Sub(from)
			from = end
		}
	}
	return sum
}
