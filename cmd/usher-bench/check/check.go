package check

import (
	"time"
)

// The guarantees, by their number less one.
const (
	g1 = iota
	g2
	g3
	g4
	g5
	g6
	g7
	g8
	g9
	g10
	g11
	g12
	g13
	g14
)

// guarantees returns the promises, with nothing seen yet.
func guarantees() []Guarantee {
	return []Guarantee{
		{ID: "G1", Says: "an acknowledged event is decided, or set aside; where one answer alone is right, it is decided"},
		{ID: "G2", Says: "an event delivered any number of times is decided once"},
		{ID: "G3", Says: "a thread's events are decided in the order in which they were accepted"},
		{ID: "G4", Says: "who has lost a partition cannot change it"},
		{ID: "G5", Says: "state, timer, outbox and history change together"},
		{ID: "G6", Says: "what was decided is sent or reported; a second copy only where no echo had come"},
		{ID: "G7", Says: "replies come in order, and none over people"},
		{ID: "G8", Says: "a handover ends at its limit, within 1 s and not before"},
		{ID: "G9", Says: "a bad event is set aside alone"},
		{ID: "G10", Says: "what cannot be stored is refused within 4 s"},
		{ID: "G11", Says: "SIGTERM ends a replica cleanly and in time"},
		{ID: "G12", Says: "a wrong configuration does not start, and is shown its line"},
		{ID: "G13", Says: "no log holds a secret or anybody's words, or tells of a panic"},
		{ID: "G14", Says: "after the last fault nothing is left to do"},
	}
}

// Judge states each guarantee.
func Judge(e Evidence) Verdict {
	j := &judge{e: e, g: guarantees()}
	for i := range e.Threads {
		j.thread(&e.Threads[i])
	}
	j.fence()
	j.badEvents()
	j.processes()
	j.g[g14].expect(e.Entries == 0 && e.Effects == 0, "%d entries and %d effects are left", e.Entries, e.Effects)
	return Verdict{Guarantees: j.g, Figures: j.f}
}

// judge gathers a verdict.
type judge struct {
	e Evidence
	g []Guarantee
	f Figures
}

func (j *judge) fence() {
	f := j.e.Fence
	j.f.ZombiesRefused = f.Lost
	j.g[g4].held(f.Lost + f.Probes - f.Accepted)
	if f.Accepted > 0 {
		j.g[g4].Broken += f.Accepted - 1
		j.g[g4].broke("%d of %d commits with an outdated token were accepted", f.Accepted, f.Probes)
	}
}

func (j *judge) badEvents() {
	for cause, n := range j.e.BadEvents {
		j.g[g9].expect(j.e.Buried[cause] == n, "%d bad events were acknowledged, %d set aside: %s", n, j.e.Buried[cause], cause)
	}
	for cause, n := range j.e.Buried {
		if _, bad := j.e.BadEvents[cause]; !bad {
			j.g[g9].broke("%d events that nobody made bad were set aside: %s", n, cause)
		}
	}
}

// processes judges what is seen of the replicas from outside.
func (j *judge) processes() {
	a := j.e.Answers
	j.g[g10].held(a.Refused - a.Late)
	if a.Late > 0 {
		j.g[g10].Broken += a.Late - 1
		j.g[g10].broke("%d of %d refusals took more than %v, the slowest %v", a.Late, a.Refused, AckBudget, a.Slowest.Round(time.Millisecond))
	}
	for _, s := range j.e.Stops {
		away := overlap(j.e.Away, s.At, s.At.Add(s.Took)) > s.Took/2
		j.g[g11].expect((s.Code == 0 || away) && s.Took <= j.e.Times.StopTimeout, "%s ended %v after SIGTERM with code %d", s.Replica, s.Took.Round(time.Millisecond), s.Code)
	}
	for _, s := range j.e.Starts {
		j.g[g12].expect(s.Code == 2 && s.Place, "a start with a wrong setting exited %d, place named: %v", s.Code, s.Place)
	}
	j.g[g13].held(j.e.LogLines - len(j.e.Leaks) - len(j.e.Panics))
	for _, l := range j.e.Leaks {
		j.g[g13].broke("a log line leaks: %s", l)
	}
	for _, l := range j.e.Panics {
		j.g[g13].broke("a log line tells of a panic: %s", l)
	}
}
