package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/bot"
	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
)

// beforeCommit is a store in which something happens right before a commit that
// has decided something, once.
type beforeCommit struct {
	engine.Store

	once sync.Once
	do   func(handover.Lease)
}

func (b *beforeCommit) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	if len(c.Put) > 0 {
		b.once.Do(func() { b.do(c.Lease) })
	}
	return b.Store.Commit(ctx, c)
}

// A lease that was stolen while a step was under way: the commit is refused,
// nothing is sent, and the next owner decides anew.
func TestStolenLeaseSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stolen := make(chan handover.Lease, 1)
	store := &beforeCommit{Store: w.store}
	store.do = func(l handover.Lease) {
		if err := w.store.Release(t.Context(), l, true); err != nil {
			t.Error(err)
		}
		thief, held, err := w.store.Acquire(t.Context(), l.Partition, "thief", time.Hour)
		if err != nil || !held {
			t.Errorf("Acquire() = %v, %v, want it held", held, err)
		}
		stolen <- thief
	}
	w.start(func(o *engine.Options) { o.Store = store })
	ev := text("hours")
	ev.MID = "m_stolen"
	w.accept(ev)
	thief := <-stolen
	// Bob's thread is in another partition: when he is answered, Ann's loop has had
	// all the time that it needed to do wrong.
	w.accept(from(bob, text("two")))
	w.called("answer", "ok", 2)
	w.eventually("the commit is refused", func() bool { return w.store.Refused() == 1 })
	w.wantTexts("one of two", "two of two")
	w.mu.Lock()
	told := slices.ContainsFunc(w.lines, func(l engine.Line) bool { return l.ID == "message:m_stolen" })
	w.mu.Unlock()
	if told {
		t.Error("the refused step was told of")
	}
	if err := w.store.Release(t.Context(), thief, true); err != nil {
		t.Fatal(err)
	}
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// Senders that wait for their turn among the Page's calls when the lease is lost
// begin no call: the lease's time is not over, but its partition is another's.
func TestStolenLeaseStopsWaitingSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	e := w.engine(func(o *engine.Options) { // which hears of a theft by what it reads alone
		o.Parallel, o.Lease, o.Renew, o.CallTimeout = 1, time.Hour, 20*time.Minute, time.Minute
	})
	w.run(e)
	w.accept(from(bob, text("hours")))
	<-w.graph.begun // Bob's call has the only turn
	waits := text("hours")
	waits.MID = "m_waits"
	w.accept(waits)
	w.handled("message:m_waits")
	n := messenger.ThreadKey{Page: page, PSID: ann}.Partition(8)
	w.mini.HSet(fmt.Sprintf("usher:{p%d}:meta", n), "token", "thief") // were it given back first, its owner could be the quickest to have it
	w.accept(text("two"))
	w.eventually("the theft is noticed", func() bool { return e.Stats().Lost == 1 })
	if n := w.store.Refused(); n > 0 {
		t.Errorf("%d commits were refused, want none: what was read told of the theft", n)
	}
	close(w.graph.hold)
	w.accept(from(bob, text("two")))
	w.called("answer", "ok", 3)
	w.wantTexts("We are open from nine to five.", "one of two", "two of two") // all of them to Bob
}

// eventually waits for what has no line of history.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	again, deadline := time.NewTicker(time.Millisecond), time.NewTimer(20*time.Second)
	defer again.Stop()
	defer deadline.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A store that is not where its owner believes it to be, as after a failover:
// the owner reads everything anew, and decides anew.
func TestStaleStoreIsReadAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &beforeCommit{Store: w.store}
	store.do = func(l handover.Lease) { // a commit of whose success the owner knows nothing
		if _, err := w.store.Commit(t.Context(), handover.Commit{Lease: l, Echoed: []string{"other"}}); err != nil {
			t.Error(err)
		}
	}
	w.start(func(o *engine.Options) { o.Store = store })
	w.accept(text("two"), text("hours"))
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

// So does one that has nothing to commit: what a failover took back does not wait
// until somebody writes.
func TestStaleStoreIsNoticedAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, leases := &beforeCommit{Store: w.store}, make(chan handover.Lease, 1)
	store.do = func(l handover.Lease) { leases <- l }
	e := w.engine(func(o *engine.Options) { o.Store = store })
	w.run(e)
	w.accept(text("hours"))
	l := <-leases
	w.called("answer", "ok", 1)
	key := fmt.Sprintf("usher:{p%d}:meta", l.Partition)
	w.eventually("the call is recorded", func() bool { return w.mini.HGet(key, "seq") == "2" })
	w.mini.HSet(key, "seq", "1")
	w.eventually("it is loaded anew", func() bool { return e.Stats().Reloaded == 1 })
}

// forgetful is a store of which every third answer or so is lost: what was asked
// happened.
type forgetful struct {
	engine.Store

	mu     sync.Mutex
	chance *rand.Rand
}

func (s *forgetful) lose() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chance.IntN(3) == 0 {
		return errDead
	}
	return nil
}

func (s *forgetful) Read(ctx context.Context, p, limit int) (handover.Batch, error) {
	b, err := s.Store.Read(ctx, p, limit)
	if lost := s.lose(); lost != nil {
		return handover.Batch{}, lost
	}
	return b, err
}

func (s *forgetful) Load(ctx context.Context, p int, threads []string) ([][]byte, error) {
	b, err := s.Store.Load(ctx, p, threads)
	if lost := s.lose(); lost != nil {
		return nil, lost
	}
	return b, err
}

func (s *forgetful) Outbox(ctx context.Context, p int) ([]handover.Pending, error) {
	o, err := s.Store.Outbox(ctx, p)
	if lost := s.lose(); lost != nil {
		return nil, lost
	}
	return o, err
}

func (s *forgetful) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	done, err := s.Store.Commit(ctx, c)
	if lost := s.lose(); lost != nil {
		return handover.Committed{}, lost
	}
	return done, err
}

func (s *forgetful) Renew(ctx context.Context, l []handover.Lease, ttl time.Duration) (kept, lost []int, err error) {
	kept, lost, err = s.Store.Renew(ctx, l, ttl)
	if err := s.lose(); err != nil {
		return nil, nil, err
	}
	return kept, lost, err
}

func TestStoreThatLosesItsAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(o *engine.Options) { o.Store = &forgetful{Store: w.store, chance: rand.New(rand.NewPCG(1, 2))} })
	var want []string
	for range 10 {
		w.accept(text("two"), text("hours"))
		want = append(want, "one of two", "two of two", "We are open from nine to five.")
	}
	w.called("answer", "ok", len(want))
	w.wantTexts(want...)
}

// Killed while events wait for a take: the next owner carries on with both.
func TestTakeOverOfAThreadWithParkedEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.handOff()
	w.graph.mu.Lock()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.graph.mu.Unlock()
	last := standby(text("two"))
	last.MID = "m_parked"
	w.accept(standby(text("bot")), standby(text("hours")), last)
	w.handled("message:m_parked")
	<-w.graph.begun // the take
	kill()
	w.graph.mu.Lock()
	w.graph.hold, w.graph.begun = nil, nil
	w.graph.mu.Unlock()
	w.start()
	w.called("answer", "ok", 3)
	w.wantTexts("Passing you on.", "I am back (automated).", "We are open from nine to five.", "one of two", "two of two")
}

// noScript is a script that was never loaded: whatever it is asked, it panics.
func noScript(o *engine.Options) {
	p := o.Pages[page]
	p.Script = new(bot.Script)
	o.Pages[page] = p
}

// An event that makes the step panic is set aside, and its thread goes on.
func TestPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(noScript)
	w.accept(text("hours"))
	w.until("the burial", func(l engine.Line) bool { return l.What == "buried" && strings.Contains(l.Error, "panic") })
	w.handOff()
	w.wantTexts("Passing you on.")
	var bodies []string
	for _, name := range w.mini.Keys() {
		if strings.HasSuffix(name, ":dlq") {
			entries, err := w.mini.Stream(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, en := range entries {
				bodies = append(bodies, strings.Join(en.Values, " "))
			}
		}
	}
	if len(bodies) != 1 || !strings.Contains(bodies[0], "hours") || !strings.Contains(bodies[0], "panic") {
		t.Errorf("dlq = %q, want the event with its cause", bodies)
	}
}

// Poison that waited for a take does not make the take happen again.
func TestParkedPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(noScript)
	w.handOff()
	w.accept(standby(text("bot")), standby(text("hours")), standby(text("two")), standby(text("human")))
	w.called("say_and_pass", "ok", 2)
	want := []string{
		"send 7000000000000001 Passing you on. +pass 263902037430900", "take",
		"send 7000000000000001 I am back (automated).", "send 7000000000000001 Passing you on. +pass 263902037430900",
	}
	if got := w.graph.log(); !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
	buried := 0
	w.mu.Lock()
	for _, l := range w.lines {
		if l.What == "buried" {
			buried++
		}
	}
	w.mu.Unlock()
	if buried != 2 {
		t.Errorf("%d events set aside, want the two that the script was asked for", buried)
	}
}

// A call that panics ends neither the process nor the thread. What it says is told
// to nobody: it may quote the customer.
func TestCallThatPanicsIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log notes
	w.start(func(o *engine.Options) { o.Log = zerolog.New(&log) })
	w.graph.mu.Lock()
	w.graph.fail = append(w.graph.fail, func(call string) error { panic("no such " + call) })
	w.graph.mu.Unlock()
	w.accept(text("two"))
	w.until("the burial", func(l engine.Line) bool { return l.What == "buried" && l.Error == "panic: a string" })
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.wantTexts("We are open from nine to five.")
	if story := w.story() + log.String(); strings.Contains(story, "no such") || !strings.Contains(log.String(), "Call panicked") {
		t.Errorf("log and history do not tell of the panic, or tell its words:\n%s", story)
	}
}

// notes are a log that can be read meanwhile.
type notes struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// An effect whose echo the store knows is decided again after a failover, and not
// sent again.
func TestEffectKnownByItsEchoIsNotSentAgain(t *testing.T) {
	t.Parallel()
	first := newWorld(t)
	ev := text("two")
	ev.MID = "m_again"
	first.start()
	first.accept(ev)
	first.called("answer", "ok", 2)

	w := newWorld(t) // in which the step is forgotten, but the echo of its first effect came
	ev.Thread = messenger.ThreadKey{}
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: first.graph.metadata(0)}, ev)
	w.start()
	w.called("answer", "ok", 2)
	w.wantTexts("two of two")
}

// Nor is one that its sender could have been given ahead.
func TestFollowerKnownByItsEchoIsNotSentAgain(t *testing.T) {
	t.Parallel()
	first := newWorld(t)
	ev := text("two")
	ev.MID = "m_again"
	first.start()
	first.accept(ev)
	first.called("answer", "ok", 2)

	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	ev.Thread = messenger.ThreadKey{}
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: first.graph.metadata(0)}, text("hours"), ev)
	w.start(unhurried)
	<-w.graph.begun
	w.handled("message:m_again")
	close(w.graph.hold)
	w.called("answer", "ok", 3)
	w.wantTexts("We are open from nine to five.", "two of two")
}

// withNames is a script that needs to know the customer.
func withNames(t *testing.T) func(*engine.Options) {
	t.Helper()
	s, err := bot.Load("bot.yaml", []byte(`
version: 1
default_locale: en_US
greeting: {keywords: [hello], say: "Hi {{first_name|there}}!"}
fallback: [{say: [{text: {en_US: Sorry?, de_DE: "Wie bitte?"}}]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	return func(o *engine.Options) {
		p := o.Pages[page]
		p.Script = s
		p.Texts.Messages = map[handover.Text]engine.Localized{
			handover.TextHandoff: {"": "Passing you on.", "de": "Ich verbinde."}, handover.TextBack: {"": "I am back.", "de_DE": "Da bin ich."},
		}
		o.Pages[page] = p
	}
}

// The first answer waits for the customer's name, and so does what she says
// meanwhile; the name is asked for once.
func TestFirstAnswerWaitsForTheName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start(withNames(t))
	w.accept(text("hello"), text("hello"))
	if got := <-w.graph.begun; got != "profile" {
		t.Fatalf("first call = %q, want the profile", got)
	}
	close(w.graph.hold)
	w.called("answer", "ok", 2)
	w.accept(text("hello"))
	w.called("answer", "ok", 3)
	w.wantTexts("Hi Ann!", "Hi Ann!", "Hi Ann!")
	if n := count(w.graph.log(), "profile"); n != 1 {
		t.Errorf("the profile was read %d times, want once", n)
	}
}

// Without permission to know her name the bot speaks without it.
func TestNameThatMetaDoesNotTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(withNames(t))
	w.graph.failNext(&graph.Error{Edge: "profile", Status: 400, Code: 100, Subcode: 2018247})
	w.accept(text("hello"))
	w.called("answer", "ok", 1)
	w.wantTexts("Hi there!")
}

// The operator's texts follow the customer's locale, or her language.
func TestOperatorsTextsByLocale(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.profile.Locale = "de_DE"
	w.start(withNames(t))
	w.accept(text("hello"), text("hm"))
	w.called("answer", "ok", 2)
	w.handOff()
	w.accept(standby(text("bot")))
	w.called("say back", "ok", 1)
	w.wantTexts("Hi Ann!", "Wie bitte?", "Ich verbinde.", "Da bin ich.")
}

// An event that waits twice, for the owner and then for the name, has an effect
// each time. They are not the same one: the later must stand in the outbox.
func TestEventThatWaitsTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(withNames(t))
	w.handOff()
	w.graph.mu.Lock()
	w.graph.owner = ""
	w.graph.mu.Unlock()
	w.at = w.at.Add(10 * time.Second)
	w.accept(text("hello"))
	w.until("the profile", func(l engine.Line) bool { return l.Call == "read_profile" && l.Outcome == "ok" })
	w.called("answer", "ok", 1)
	ids := map[string]string{}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l.Call == "" || !strings.HasPrefix(l.ID, "call:") {
			continue
		}
		if other := ids[l.ID]; other != "" {
			t.Errorf("%q and %q have the same id %s", other, l.Call, l.ID)
		}
		ids[l.ID] = l.Call
	}
}

func count(calls []string, prefix string) (n int) {
	for _, c := range calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// The echo of a handoff says that the words are there. Whether control went with
// them, thread_owner tells; the words are not said again.
func TestEchoOfAHandoffDoesNotSettleIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(o *engine.Options) { o.EchoGrace = time.Second })
	w.graph.failNext(unknown())
	w.accept(text("human"))
	w.called("say_and_pass", "unknown", 1)
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + effectOf(w, 0)})
	w.called("say_and_pass", "ok", 1)
	want := []string{"send 7000000000000001 Passing you on. +pass 263902037430900", "owner", "pass 263902037430900"}
	if got := w.graph.log(); !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
}

// Nor is it passed again where an agent has given it back since: the webhook that
// tells of that may come after the echo.
func TestHandoffGivenBackIsNotPassedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.accept(text("human"))
	<-w.graph.begun
	id := effectOf(w, 0)
	kill()
	close(w.graph.hold)
	w.eventually("it arrives", func() bool { return len(w.graph.texts()) == 1 })
	if err := w.graph.Pass(t.Context(), ann, app, ""); err != nil { // by an agent, who was quick
		t.Fatal(err)
	}
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
	w.start()
	w.called("say_and_pass", "unknown", 1)
	w.accept(messenger.Event{Kind: messenger.KindPass, NewOwner: app, PreviousOwner: messenger.PageInbox})
	w.moved(handover.Bot, handover.CauseDone)
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	if passed := count(w.graph.log(), "pass "); passed != 1 {
		t.Errorf("calls = %q, want no pass but the agent's", w.graph.log())
	}
}

// A call of a crashed owner may have reached Meta. Who only waited for its echo
// and gives the partition back must not let the next owner repeat it at once.
func TestDoubtOutlivesACleanStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.accept(text("hours"))
	<-w.graph.begun
	id := effectOf(w, 0)
	kill()
	patient := func(o *engine.Options) { o.EchoGrace = time.Hour }
	stop := w.start(patient)
	second := text("two") // the second owner has the thread when this has its line
	second.MID = "m_second"
	w.accept(second)
	w.handled("message:m_second")
	stop()
	w.start(patient)
	third := text("two")
	third.MID = "m_third"
	w.accept(third)
	w.handled("message:m_third")
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
	w.called("answer", "ok, by its echo", 1)
	if n := len(w.graph.begun); n > 0 {
		t.Errorf("%q was called, though its echo was still waited for", <-w.graph.begun)
	}
}

// A failover may have forgotten that a call ended, so that the one after it was made
// as well: whatever an owner that was cut off has left is in doubt.
func TestDoubtIsOfAllThatWasLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.accept(text("two"))
	<-w.graph.begun
	ids := []string{effectOf(w, 0), effectOf(w, 1)}
	kill()
	w.start(func(o *engine.Options) { o.EchoGrace = time.Hour })
	for i, id := range ids {
		w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
		w.called("answer", "ok, by its echo", i+1)
	}
	if n := len(w.graph.begun); n > 0 {
		t.Errorf("%q was called again, though its echo was still waited for", <-w.graph.begun)
	}
}

// Half an answer is none: a handoff overtakes all of one that is being retried.
func TestHandoffOvertakesTheWholeAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 500, Code: 2})
	w.accept(text("two"))
	w.called("answer", "failed, again later", 1)
	w.handOff()
	w.wantTexts("Passing you on.")
}

// counting is a store that counts how often members are looked at.
type counting struct {
	engine.Store

	heartbeats atomic.Int64
}

func (c *counting) Heartbeat(ctx context.Context, m string, ttl time.Duration) ([]string, error) {
	c.heartbeats.Add(1)
	return c.Store.Heartbeat(ctx, m, ttl)
}

// What is accepted in another's partition makes nobody look at the members.
func TestAnnouncementsOfOthersAreNoWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calm := func(o *engine.Options) { o.Lease, o.Renew = time.Hour, 20*time.Minute }
	one, two := &counting{Store: w.store}, &counting{Store: w.store}
	w.start(calm, func(o *engine.Options) { o.Store = one })
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.start(calm, func(o *engine.Options) { o.Store = two })
	const people = 40
	ask := func(round int) {
		for i := range people {
			w.accept(from(messenger.PSID("71"+strings.Repeat("0", i+1)), text("hours")))
			w.called("answer", "ok", 2+round*people+i)
		}
	}
	ask(0) // by now the two have shared the partitions
	before := one.heartbeats.Load() + two.heartbeats.Load()
	ask(1)
	if n := one.heartbeats.Load() + two.heartbeats.Load() - before; n > people/4 {
		t.Errorf("%d texts made the replicas look at the members %d times", people, n)
	}
}

// An event whose answer a failover has forgotten may lead to something else when it is
// decided again. The echo of the answer is none of that.
func TestEchoOfAnAnswerSettlesNoOtherCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	key := messenger.ThreadKey{Page: page, PSID: ann}.String()
	answer := engine.EffectID(key, "message:m_back", 0, true)
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + answer, Standby: true})
	back := standby(text("bot"))
	back.MID = "m_back"
	w.accept(back)
	w.called("take", "ok", 1)
	w.moved(handover.Bot, handover.CauseKeyword)
	if taken := count(w.graph.log(), "take"); taken != 1 {
		t.Errorf("calls = %q, want a take", w.graph.log())
	}
}
