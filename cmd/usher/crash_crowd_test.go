//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
)

// crowd are the customers of a fleet. Each knows what her phone must show, line
// by line, so that what Usher did can be judged without asking Usher.
type crowd struct {
	mu     sync.Mutex
	people []*person
	byPSID map[messenger.PSID]*person
}

// person is a customer with what she has said and what the bot must have said.
type person struct {
	crowd    *crowd
	customer *simulator.Customer
	asked    int // questions
	said     []messenger.MessageID
	want     []string // the bot's lines, in order
	heard    int      // the bot's lines, so far
	// calm tells that she hears all answers before she asks for people: a handoff
	// overtakes an answer that is being retried.
	calm bool
}

// The bot's other lines.
const (
	passesOn  = "I pass you on."
	isBack    = "I am back."
	discloses = "Automated again."
)

// questions is how many questions the bot can be asked, each with an answer of
// its own, so that an answer can be matched.
const questions = 900

// crowdScript is the bot's script. Every seventh answer has two parts.
func crowdScript() string {
	var b strings.Builder
	b.WriteString("version: 1\ngreeting: {keywords: [hello], say: Hello.}\nfallback: [{say: 'What?'}]\nrules:\n")
	for n := range questions {
		fmt.Fprintf(&b, "  - {id: q%d, match: {exact: [q%d]}, say: [%s]}\n", n, n, strings.Join(answersTo(n), ", "))
	}
	return b.String()
}

func answersTo(n int) []string {
	if n%7 == 0 {
		return []string{fmt.Sprintf("a%d", n), fmt.Sprintf("a%d again", n)}
	}
	return []string{fmt.Sprintf("a%d", n)}
}

// join adds n customers.
func (c *crowd) join(meta *simulator.Meta, n int) []*person {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byPSID == nil {
		c.byPSID = map[messenger.PSID]*person{}
	}
	for range n {
		psid := messenger.PSID(fmt.Sprintf("70000000000%05d", len(c.people)))
		p := &person{crowd: c, customer: meta.Customer(psid)}
		c.people = append(c.people, p)
		c.byPSID[psid] = p
	}
	return c.people[len(c.people)-n:]
}

// hears is told what stands in Meta's ledger.
func (c *crowd) hears(e simulator.Entry) {
	if e.Call == nil || e.Call.Edge != simulator.EdgeMessages || !e.Call.OK() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.byPSID[e.Call.PSID]; p != nil {
		p.heard++
	}
}

// answered tells whether everybody has heard as much as is wanted.
func (c *crowd) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.people, func(p *person) bool { return p.heard < len(p.want) })
}

// unanswered tells who waits.
func (c *crowd) unanswered() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, p := range c.people {
		if p.heard < len(p.want) {
			fmt.Fprintf(&b, "%s waits for %q (line %d)\n", p.customer.PSID(), p.want[p.heard], p.heard)
		}
	}
	return b.String()
}

// says writes a text; want is what the bot must answer.
func (p *person) says(t *testing.T, text string, want ...string) {
	t.Helper()
	p.expects(want...)
	p.did(t)(p.customer.Says(text))
}

// asks puts the next question. In silence it must get no answer.
func (p *person) asks(t *testing.T, silence bool) {
	t.Helper()
	n := p.asked
	p.asked++
	if silence {
		p.says(t, fmt.Sprintf("q%d", n))
	} else {
		p.says(t, fmt.Sprintf("q%d", n), answersTo(n)...)
	}
}

func (p *person) expects(want ...string) {
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	p.want = append(p.want, want...)
}

// did notes an act of hers.
func (p *person) did(t *testing.T) func(messenger.MessageID, error) {
	t.Helper()
	return func(mid messenger.MessageID, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", p.customer.PSID(), err)
		}
		p.said = append(p.said, mid)
	}
}

// waits returns how many lines she still has to hear.
func (p *person) waits() int {
	p.crowd.mu.Lock()
	defer p.crowd.mu.Unlock()
	return len(p.want) - p.heard
}

// load is a crowd that talks until it is told to stop.
type load struct {
	f     *fleet
	pace  time.Duration // between two texts of a person
	least int           // texts of each
	over  chan struct{}
	done  sync.WaitGroup
}

// talk lets people talk: each asks, does not wait for more than a few answers,
// asks for a person now and then, and comes back by one of the ways.
func (f *fleet) talk(people []*person, pace time.Duration, least int) *load {
	l := &load{f: f, pace: pace, least: least, over: make(chan struct{})}
	for i, p := range people {
		l.done.Go(func() { l.converse(i, p) })
	}
	return l
}

// stop ends the talk and waits for its end.
func (l *load) stop() {
	close(l.over)
	l.done.Wait()
}

func (l *load) converse(i int, p *person) {
	ctx := l.f.t.Context()
	pace := time.NewTicker(l.pace)
	defer pace.Stop()
	for n := 1; p.asked < questions-5; n++ {
		select {
		case <-l.over:
			if n > l.least {
				return
			}
		default:
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		if err := poll(ctx, func() bool { return p.waits() <= 3 }); err != nil {
			l.f.t.Errorf("%s waits for an answer: %v", p.customer.PSID(), err)
			return
		}
		p.asks(l.f.t, false)
		if n%15 == 5+i%5 {
			if err := l.seePeople(ctx, i+n, p); err != nil {
				l.f.t.Errorf("%s: %v", p.customer.PSID(), err)
				return
			}
		}
	}
}

// seePeople is a trip to people and back, right behind a question and right
// before the next one. People meet with silence of the bot.
func (l *load) seePeople(ctx context.Context, i int, p *person) error {
	t, psid := l.f.t, p.customer.PSID()
	if p.calm {
		if err := poll(ctx, func() bool { return p.waits() == 0 }); err != nil {
			return fmt.Errorf("wait for answers: %w", err)
		}
	}
	p.says(t, "human", passesOn)
	if err := poll(ctx, func() bool {
		owner, _ := l.f.meta.Owner(psid)
		return owner == messenger.PageInbox
	}); err != nil {
		return fmt.Errorf("wait for people: %w", err)
	}
	p.asks(t, true)
	agent := l.f.meta.Agent()
	if i%2 == 0 {
		if _, err := agent.Replies(psid, "An agent's words."); err != nil {
			return err
		}
		p.asks(t, true)
	}
	switch i % 3 {
	case 0:
		p.says(t, "bot", isBack)
	case 1:
		p.expects(isBack)
		p.did(t)(p.customer.TapsButton("Back to bot"))
	default: // the next answer discloses, see heardBy
		return agent.Done(psid)
	}
	return nil
}

// figures are what a run came to.
type figures struct {
	people, said, acknowledged, answers, handoffs int
	lost, doubled, disordered, sentTwice          int
	refused                                       int // sends, by Meta
}

func (n figures) String() string {
	return fmt.Sprintf("%d people, %d acts, %d acknowledged, %d lines of the bot, %d handoffs: %d lost, %d doubled, %d threads out of order, %d effects sent twice, %d sends refused by Meta",
		n.people, n.said, n.acknowledged, n.answers, n.handoffs, n.lost, n.doubled, n.disordered, n.sentTwice, n.refused)
}

// judge compares what phones show with what they must, and logs the figures.
func (f *fleet) judge() figures {
	f.t.Helper()
	n := figures{people: len(f.crowd.people)}
	n.sentTwice, n.refused = f.sends()
	acknowledged := f.acknowledged()
	for _, p := range f.crowd.people {
		n.said += len(p.said)
		for _, mid := range p.said {
			if acknowledged[mid] {
				n.acknowledged++
			} else {
				f.t.Errorf("%s: %s was never acknowledged", p.customer.PSID(), mid)
			}
		}
		got := f.heardBy(p)
		n.answers += len(got)
		lost, doubled := compare(got, p.want)
		n.lost += lost
		n.doubled += doubled
		if lost+doubled == 0 && !slices.Equal(got, p.want) {
			n.disordered++
		}
		for _, line := range got {
			if line == passesOn {
				n.handoffs++
			}
		}
		if !slices.Equal(got, p.want) && n.lost+n.doubled+n.disordered < 20 {
			f.t.Logf("%s\nheard %q\nwants %q", p.customer.PSID(), got, p.want)
		}
	}
	f.t.Logf("%s: %v", f.t.Name(), n)
	return n
}

// faultless wants nothing lost, doubled or out of order.
func (f *fleet) faultless() figures {
	f.t.Helper()
	n := f.judge()
	if n.lost+n.doubled+n.disordered+n.sentTwice > 0 {
		f.t.Errorf("%v, want no fault", n)
	}
	return n
}

// heardBy returns the bot's lines as a phone shows them, without the disclosure
// that the first answer after Done begins with.
func (f *fleet) heardBy(p *person) (lines []string) {
	for _, l := range f.meta.Transcript(p.customer.PSID()) {
		if l.From == simulator.FromPage && l.App == fleetApp {
			lines = append(lines, strings.TrimPrefix(l.Text, discloses+"\n\n"))
		}
	}
	return lines
}

// compare counts what is missing of want, and what got has too much.
func compare(got, want []string) (lost, doubled int) {
	balance := map[string]int{}
	for _, line := range want {
		balance[line]++
	}
	for _, line := range got {
		balance[line]--
	}
	for n := range maps.Values(balance) {
		lost, doubled = lost+max(n, 0), doubled+max(-n, 0)
	}
	return lost, doubled
}

// acknowledged returns the messages whose delivery was answered with 200.
func (f *fleet) acknowledged() map[messenger.MessageID]bool {
	mids := map[messenger.MessageID]bool{}
	for _, d := range f.meta.Deliveries(fleetApp) {
		for _, e := range d.Events {
			if d.Status == 200 && e.Kind != messenger.KindEcho {
				mids[e.MID] = true
			}
		}
	}
	return mids
}

// sends counts the effects that Meta carried out more than once, and the sends
// that it refused because another app had control.
func (f *fleet) sends() (twice, refused int) {
	times := map[string]int{}
	for _, c := range f.meta.Calls(simulator.EdgeMessages) {
		switch {
		case c.OK():
			times[c.Metadata]++
		case c.Code == 10:
			refused++
		}
	}
	for metadata, k := range times {
		if k > 1 || metadata == "" {
			twice++
			f.t.Logf("sent %d times: %q", k, metadata)
		}
	}
	return twice, refused
}
