package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"usher/cmd/usher/page"
	"usher/config"
	"usher/handover"
	"usher/messenger"
	"usher/messenger/simulator"
)

// plot is a situation: something that goes wrong in life, played on a customer's thread in
// whatever state that is. What came of it is counted, not known before.
type plot struct {
	id, title, about string
	play             func(context.Context, *play) (result, error)
}

// result is what came of a situation: Held tells whether Usher did what it
// promises, proof what was counted.
type result struct {
	held  bool
	proof string
}

// play is a situation under way.
type play struct {
	*theatre

	of   plot
	who  role
	key  messenger.ThreadKey
	end  context.CancelFunc
	over chan struct{}
	step string // guarded by theatre.playing
}

// begin begins to play a situation.
func (t *theatre) begin(ctx context.Context, id string, psid messenger.PSID) error {
	all := situations()
	i := slices.IndexFunc(all, func(s plot) bool { return s.id == id })
	if i < 0 {
		return refused(http.StatusNotFound, "there is no situation %q", id)
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx)) // ended by halt
	p := &play{theatre: t, of: all[i], who: t.known(psid), key: keyOf(psid), end: end, over: make(chan struct{})}
	t.playing.Lock()
	t.play = p
	delete(t.results, id)
	t.playing.Unlock()
	go p.run(ctx)
	return nil
}

// underWay returns the id of the situation that is being played, or "".
func (t *theatre) underWay() string {
	t.playing.Lock()
	defer t.playing.Unlock()
	if t.play == nil {
		return ""
	}
	return t.play.of.id
}

// halt breaks off what is being played, and returns when it has ended.
func (t *theatre) halt() {
	t.playing.Lock()
	p := t.play
	t.playing.Unlock()
	if p != nil {
		p.end()
		<-p.over
	}
}

// forget forgets what came of the situations.
func (t *theatre) forget() {
	t.playing.Lock()
	defer t.playing.Unlock()
	clear(t.results)
}

// programme returns the situations as the page shows them, and the one that is
// being played.
func (t *theatre) programme() (all []page.Situation, playing string) {
	t.playing.Lock()
	defer t.playing.Unlock()
	for _, s := range situations() {
		shown := page.Situation{ID: s.id, Title: s.title, About: s.about}
		if t.play != nil && t.play.of.id == s.id {
			playing, shown.Step = s.id, t.play.step
		}
		if r, ok := t.results[s.id]; ok {
			shown.Verdict, shown.Proof = "broken", r.proof
			if r.held {
				shown.Verdict = "held"
			}
		}
		all = append(all, shown)
	}
	return all, playing
}

// run plays, judges, and leaves the world as it was.
func (p *play) run(ctx context.Context) {
	defer close(p.over)
	p.world(p.who.psid, "", "Situation: %s", p.of.title)
	before := p.proven(ctx)
	done := p.doneIs()
	limited, stop := context.WithTimeout(ctx, p.patience)
	r, err := p.of.play(limited, p)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("after %s it still waits: %s", p.patience, p.caption()) //nolint:err113 // shown once, to a person
	}
	stop()
	p.restore(context.WithoutCancel(ctx), done)
	if ctx.Err() == nil {
		after := p.proven(ctx)
		lost, doubled, over := after.Lost-before.Lost, after.Doubled-before.Doubled, after.Over-before.Over
		r.proof = fmt.Sprintf("%s; %d lost, %d doubled, %d over a person", r.proof, lost, doubled, over)
		if r.held = r.held && lost+doubled+over == 0; err != nil {
			r.held, r.proof = false, fmt.Sprintf("%v; %d lost, %d doubled, %d over a person", err, lost, doubled, over)
		}
		tone := toneGood
		if !r.held {
			tone = toneBad
		}
		p.world(p.who.psid, tone, "%s: %s", map[bool]string{true: "Held", false: "Broken"}[r.held], r.proof)
	} else {
		p.world(p.who.psid, "", "Broken off")
	}
	p.playing.Lock()
	defer p.playing.Unlock()
	if ctx.Err() == nil {
		p.results[p.of.id] = r
	}
	p.theatre.play = nil //nolint:staticcheck // not the play of a plot
	p.end()
	p.log.touch()
}

// proven is what the ledger proves so far.
func (p *play) proven(ctx context.Context) page.Tally {
	if err := p.countLost(ctx); err != nil {
		p.world(p.who.psid, toneBad, "what was lost cannot be counted: %v", err)
	}
	return p.tally.counts()
}

func (p *play) doneIs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// restore leaves the world as it was found, and whole.
func (p *play) restore(ctx context.Context, done string) {
	p.fuse.Store(nil)
	p.stage.meta.DuplicateDeliveries(0)
	err := p.setGraph("up")
	if p.doneIs() != done {
		err = errors.Join(err, p.setDone(done))
	}
	if !p.stage.usher().alive() {
		ctx, cancel := context.WithTimeout(ctx, p.patience)
		defer cancel()
		err = errors.Join(err, p.restart(ctx))
	}
	if err != nil {
		p.world(p.who.psid, toneBad, "%v", err)
	}
}

// tells sets the caption, and gives people time to read it.
func (p *play) tells(ctx context.Context, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	p.playing.Lock()
	p.step = text
	p.playing.Unlock()
	p.world(p.who.psid, "", "%s", text)
	return rest(ctx, p.pause)
}

func (p *play) caption() string {
	p.playing.Lock()
	defer p.playing.Unlock()
	return p.step
}

// first is the customer's first name.
func (p *play) first() string { return p.name(p.who.psid) }

// writes lets the customer write.
func (p *play) writes(ctx context.Context, text string) (messenger.MessageID, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return p.stage.meta.Customer(p.who.psid).Says(text) //nolint:contextcheck // Meta delivers in its own time
}

// says lets the customer write, and waits for what comes of it.
func (p *play) says(ctx context.Context, text string) error {
	_, err := p.writes(ctx, text)
	return p.then(ctx, err)
}

// replies lets an agent write, and waits for what comes of it.
func (p *play) replies(ctx context.Context, text string) error {
	_, err := p.stage.meta.Agent().Replies(p.who.psid, text) //nolint:contextcheck // Meta delivers in its own time
	return p.then(ctx, err)
}

// clicksDone lets the agent click Done, and waits for what comes of it.
func (p *play) clicksDone(ctx context.Context) error {
	return p.then(ctx, p.stage.meta.Agent().Done(p.who.psid)) //nolint:contextcheck // Meta delivers in its own time
}

func (p *play) then(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if err := p.stage.settle(ctx); err != nil {
		return err
	}
	return rest(ctx, p.pause)
}

// later puts the clock forward.
func (p *play) later(ctx context.Context, d time.Duration) error {
	p.world("", "", "%s later", config.FormatDuration(d.Round(time.Second)))
	return p.stage.forward(ctx, d)
}

// state returns what Usher knows of the thread.
func (p *play) state(ctx context.Context) (handover.State, error) {
	snap, err := p.stage.thread(ctx, p.key)
	return snap.State, err
}

// until waits for a state.
func (p *play) until(ctx context.Context, reached func(handover.State) bool) error {
	return p.wait(ctx, func() (bool, error) {
		s, err := p.state(ctx)
		return reached(s), err
	})
}

// wait waits for a condition.
func (*play) wait(ctx context.Context, reached func() (bool, error)) error {
	poll := time.NewTicker(tick)
	defer poll.Stop()
	for {
		if ok, err := reached(); ok || err != nil {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled tells whether a thread is in a phase and nothing is awaited.
func settled(in ...handover.Phase) func(handover.State) bool {
	return func(s handover.State) bool {
		return s.Awaiting == handover.AwaitingNothing && slices.Contains(in, s.Phase)
	}
}

// whole brings the world into order, and lets the customer have written lately.
func (p *play) whole(ctx context.Context) error {
	if err := p.setGraph("up"); err != nil {
		return err
	}
	if !p.stage.usher().alive() {
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	if err := p.stage.settle(ctx); err != nil {
		return err
	}
	if open := p.stage.meta.Window(p.who.psid); open.After(p.stage.clock.now()) {
		return nil
	}
	if err := p.tells(ctx, "First %s says hello", p.first()); err != nil {
		return err
	}
	return p.says(ctx, "hello")
}

// toBot brings the thread to the bot.
func (p *play) toBot(ctx context.Context) error {
	if err := p.whole(ctx); err != nil {
		return err
	}
	s, err := p.state(ctx)
	if err != nil || settled(handover.Bot)(s) {
		return err
	}
	if err := p.tells(ctx, "First %s asks for the bot", p.first()); err != nil {
		return err
	}
	if err := p.says(ctx, p.cfg.Handover.BackToBot.Keywords[0]); err != nil {
		return err
	}
	return p.until(ctx, settled(handover.Bot))
}

// toPeople brings the thread to an agent who has just written.
func (p *play) toPeople(ctx context.Context) error {
	if err := p.whole(ctx); err != nil {
		return err
	}
	s, err := p.state(ctx)
	if err != nil {
		return err
	}
	if settled(handover.Bot, handover.Solved)(s) {
		if err := p.tells(ctx, "%s asks for a person", p.first()); err != nil {
			return err
		}
		if err := p.says(ctx, p.cfg.Handover.TalkToHuman.Keywords[0]); err != nil {
			return err
		}
		if err := p.until(ctx, settled(handover.Waiting, handover.Human)); err != nil {
			return err
		}
	}
	if err := p.replies(ctx, fmt.Sprintf("Hi %s, this is Kim. How can I help?", p.first())); err != nil {
		return err
	}
	return p.until(ctx, settled(handover.Human))
}

// mark is a place on the phone: what came after it is counted.
type mark struct {
	p  *play
	at int64 // the ledger's
}

func (p *play) mark() mark {
	var at int64
	if all := p.stage.meta.Snapshot(); len(all) > 0 {
		at = all[len(all)-1].Seq
	}
	return mark{p, at}
}

// calls returns the calls for the customer since then.
func (m mark) calls(of func(simulator.Call) bool) (n int) {
	for _, e := range m.p.stage.meta.Snapshot() {
		if e.Seq > m.at && e.Call != nil && byUs(*e.Call) && e.Call.PSID == m.p.who.psid && of(*e.Call) {
			n++
		}
	}
	return n
}

// said counts what the bot has said to the customer since then.
func (m mark) said() int {
	return m.calls(func(c simulator.Call) bool { return c.OK() && c.Edge == simulator.EdgeMessages && c.Action == "" })
}

// told counts the deliveries about the customer since then that Usher
// acknowledged.
func (m mark) told(of func(simulator.Told) bool) (n int) {
	for _, e := range m.p.stage.meta.Snapshot() {
		if e.Seq <= m.at || e.Delivery == nil || e.Delivery.App != stageApp || e.Delivery.Status != http.StatusOK {
			continue
		}
		for _, t := range e.Delivery.Events {
			if t.PSID == m.p.who.psid && of(t) {
				n++
			}
		}
	}
	return n
}
