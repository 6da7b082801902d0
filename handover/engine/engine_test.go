package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
)

func TestATextIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.accept(text("hello"))
	w.called("answer", "ok", 1)
	w.wantTexts("Hi! Ask away.")
	if got := w.graph.metadata(0); !strings.HasPrefix(got, "usher:") {
		t.Errorf("metadata = %q, want the effect's id", got)
	}
}

func TestThreadIsAnsweredInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.accept(text("two"), text("hours"), text("two"))
	w.called("answer", "ok", 5)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.", "one of two", "two of two")
}

// Meta may deliver out of order: within a batch its own times decide.
func TestBatchIsSortedByMetasTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	early, late := text("two"), text("hours")
	early.At, late.At = w.at, w.at.Add(time.Second)
	w.accept(late, early)
	w.start()
	w.called("answer", "ok", 3)
	w.wantTexts("one of two", "two of two", "We are open from nine to five.")
}

func TestRedeliveryToTwoReplicasIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.start()
	ev := text("hours")
	ev.MID, ev.At = "m_same", w.at
	for range 5 {
		w.accept(ev)
	}
	w.accept(text("two"))
	w.called("answer", "ok", 3)
	w.wantTexts("We are open from nine to five.", "one of two", "two of two")
}

// handOff brings Ann's thread to the Page Inbox.
func (w *world) handOff() {
	w.t.Helper()
	w.accept(text("human"))
	w.called("say_and_pass", "ok", 1)
}

func TestHandoffIsOneCallAndTheBotIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.moved(handover.Waiting, handover.CauseKeyword)
	silent := standby(text("hours"))
	silent.MID = "m_silent"
	w.accept(silent)
	w.handled("message:m_silent")
	if got, want := w.graph.log(), []string{"send 7000000000000001 Passing you on. +pass 263902037430900"}; !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
	w.graph.mu.Lock()
	defer w.graph.mu.Unlock()
	if b := w.graph.sent[0].Buttons; len(b) != 1 || b[0].Payload != handover.PayloadBack || b[0].Title != "Back to bot" {
		t.Errorf("buttons = %+v, want the way back", b)
	}
}

func TestKeywordOnStandbyTakesOnceAndSpeaksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.accept(standby(text("Bot!")))
	w.moved(handover.Bot, handover.CauseKeyword)
	w.called("say back", "ok", 1)
	if got := w.graph.log()[1:]; !slices.Equal(got, []string{"take", "send 7000000000000001 I am back (automated)."}) {
		t.Errorf("calls = %q, want one take and one text", got)
	}
}

// What the customer says while the take is under way is answered when it is known
// who answers, in order.
func TestTextsDuringTheWayBackAreAnsweredAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.accept(standby(text("bot")), standby(text("hours")), standby(text("two")))
	w.called("answer", "ok", 3)
	w.wantTexts("Passing you on.", "I am back (automated).", "We are open from nine to five.", "one of two", "two of two")
}

func TestRefusedTakeTellsTheCustomerNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.graph.failNext(&graph.Error{Edge: "take_thread_control", Status: 400, Code: 27})
	w.accept(standby(text("bot")))
	w.until("the alarm", func(l engine.Line) bool { return l.Alarm == string(handover.AlarmTakeRefused) })
	w.wantTexts("Passing you on.")
}

// A take that fails otherwise has succeeded where control turns out to be ours.
func TestFailedTakeAsksWhoHasControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.graph.mu.Lock()
	w.graph.owner = app
	w.graph.mu.Unlock()
	w.graph.failNext(&graph.Error{Edge: "take_thread_control", Status: 400, Code: 100, Message: "already the owner"})
	w.accept(standby(text("bot")))
	w.called("say back", "ok", 1)
	if got := w.graph.log()[1:3]; !slices.Equal(got, []string{"take", "owner"}) {
		t.Errorf("calls = %q, want the owner read after the take", got)
	}
}

// A take whose answer got lost is refused the next time. As long as nobody tells
// who has control, that is no reason to leave the customer with people.
func TestFailedTakeIsTriedAgainUntilItIsKnownWhoHasControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.graph.mu.Lock()
	w.graph.owner = app
	w.graph.mu.Unlock()
	w.graph.failNext(&graph.Error{Edge: "take_thread_control", Status: 400, Code: 100, Message: "already the owner"},
		&graph.Error{Edge: "thread_owner", Status: 500, Code: 2})
	w.accept(standby(text("bot")))
	w.called("say back", "ok", 1)
	w.wantTexts("Passing you on.", "I am back (automated).")
}

func TestFailedTakeThatFindsAnotherAppIsNoReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.graph.failNext(&graph.Error{Edge: "take_thread_control", Status: 403, Code: 200})
	w.accept(standby(text("bot")))
	w.called("take", "refused: another app has control", 1)
	w.until("the alarm", func(l engine.Line) bool { return l.Alarm == string(handover.AlarmTakeFailed) })
	w.wantTexts("Passing you on.")
}

func TestAgentsWordsMuteTheBotAndCancelItsAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 100), make(chan struct{})
	w.start()
	w.accept(text("two"), text("hours")) // the first answer is in flight, two wait behind it
	<-w.graph.begun
	w.accept(agentEcho())
	w.moved(handover.Human, handover.CauseAgentSpoke)
	close(w.graph.hold)
	w.called("answer", "ok", 1)
	w.wantTexts("one of two")
	last := w.until("the cancellation", func(l engine.Line) bool { return l.What == "echo" })
	if n := len(slices.DeleteFunc(slices.Clone(last.Notes), func(s string) bool { return s != "cancelled: answer" })); n != 2 {
		t.Errorf("notes = %q, want two answers cancelled", last.Notes)
	}
}

func TestDoneThenTheFirstAnswerDiscloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.accept(messenger.Event{Kind: messenger.KindPass, NewOwner: app, PreviousOwner: messenger.PageInbox})
	w.moved(handover.Bot, handover.CauseDone)
	w.accept(text("hours"), text("hours"))
	w.called("answer", "ok", 2)
	w.wantTexts("Passing you on.", "Automated again.\n\nWe are open from nine to five.", "We are open from nine to five.")
}

func TestNotOwnerChangesTheStateAndIsNotRetried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 400, Code: 10, Subcode: 2018300})
	w.accept(text("two"))
	w.moved(handover.Human, handover.CauseControlLost)
	ev := standby(text("hours"))
	ev.MID = "m_silent"
	w.accept(ev)
	w.handled("message:m_silent")
	if got := w.graph.log(); len(got) != 1 {
		t.Errorf("calls = %q, want no retry and no second message", got)
	}
}

func TestGraphFailsOnceAndTheReplyArrivesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 500, Code: 2})
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.wantTexts("We are open from nine to five.")
}

// A handoff does not wait behind an answer that is being retried.
func TestHandoffOvertakesARetriedAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 500, Code: 2})
	w.accept(text("hours"))
	w.called("answer", "failed, again later", 1)
	w.handOff()
	w.wantTexts("Passing you on.")
}

// unknown is a send whose answer never came: it may have arrived.
func unknown() error {
	return fmt.Errorf("send: %w", errors.Join(graph.ErrUnknownOutcome, context.DeadlineExceeded))
}

func TestUnknownOutcomeIsSettledByTheEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(func(o *engine.Options) { o.EchoGrace, o.CallTimeout, o.Lease = time.Minute, time.Second, 3*time.Minute })
	w.graph.begun = make(chan string, 10)
	w.graph.failNext(unknown())
	w.accept(text("two"))
	w.called("answer", "unknown", 1)
	// The words did reach the customer: their echo says so.
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + effectOf(w, 0)})
	w.called("answer", "ok, by its echo", 1)
	w.called("answer", "ok", 2)
	w.wantTexts("two of two")
}

// What was accepted while an echo was waited for is read before the wait is over:
// the echo may stand behind more than one read brings.
func TestUnknownOutcomeWaitsForAnEchoThatStandsInTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short := &shortStore{Store: w.store}
	w.start(func(o *engine.Options) { o.Store = short })
	w.graph.failNext(unknown())
	w.accept(text("hours"))
	w.called("answer", "unknown", 1)
	over := make(chan struct{})
	short.hold.Store(&over)
	w.accept(
		messenger.Event{Kind: messenger.KindRead}, messenger.Event{Kind: messenger.KindRead}, messenger.Event{Kind: messenger.KindRead},
		messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + effectOf(w, 0)},
	)
	<-time.After(2 * time.Second) // it is the first pause of a retry that is over by then: nothing is waited for
	close(over)
	w.called("answer", "ok, by its echo", 1)
	w.wantTexts()
}

// shortStore reads little at a time, and holds reads back while it is told to.
type shortStore struct {
	engine.Store

	hold atomic.Pointer[chan struct{}]
}

func (s *shortStore) Read(ctx context.Context, p, limit int) (handover.Batch, error) {
	if over := s.hold.Load(); over != nil {
		<-*over
	}
	return s.Store.Read(ctx, p, min(limit, 2))
}

func TestUnknownOutcomeWithoutEchoIsSentOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(unknown())
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.wantTexts("We are open from nine to five.")
}

func TestUnknownHandoffIsSettledByTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(unknown())
	w.graph.mu.Lock()
	w.graph.owner = messenger.PageInbox // it had arrived
	w.graph.mu.Unlock()
	w.accept(text("human"))
	w.called("say_and_pass", "ok", 1)
	if got := w.graph.log(); len(got) != 2 || got[1] != "owner" {
		t.Errorf("calls = %q, want the owner read and nothing said again", got)
	}
}

// effectOf returns the id of the n-th effect that was decided.
func effectOf(w *world, n int) string {
	w.t.Helper()
	bodies, err := w.store.Outbox(w.t.Context(), messenger.ThreadKey{Page: page, PSID: ann}.Partition(8))
	if err != nil || len(bodies) <= n {
		w.t.Fatalf("Outbox() = %d effects, %v", len(bodies), err)
	}
	slices.SortFunc(bodies, func(a, b handover.Pending) int { return strings.Compare(order(a), order(b)) })
	return bodies[n].ID
}

func order(p handover.Pending) string {
	_, after, _ := strings.Cut(string(p.Body), `"order":`)
	return after
}

func TestInlineRefusedFallsBackToTextThenPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 400, Code: 100})
	w.accept(text("human"))
	w.called("pass", "ok", 1)
	want := []string{
		"send 7000000000000001 Passing you on. +pass 263902037430900", "send 7000000000000001 Passing you on.", "pass 263902037430900",
	}
	if got := w.graph.log(); !slices.Equal(got, want) {
		t.Errorf("calls = %q, want %q", got, want)
	}
}

func TestHandoffThatFailsForGoodIsToldTruthfully(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	refused := &graph.Error{Edge: "pass_thread_control", Status: 403, Code: 200}
	w.graph.failNext(refused)
	w.accept(text("human"))
	w.moved(handover.Bot, handover.CauseHandoffFailed)
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.wantTexts("Nobody there.", "We are open from nine to five.")
}

// A text outside standby hints that control came back: Meta is asked, and the
// text is answered once it agrees.
func TestControlReturnedByTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.handOff()
	w.graph.mu.Lock()
	w.graph.owner = ""
	w.graph.mu.Unlock()
	w.at = w.at.Add(10 * time.Second)
	w.accept(text("hours"), text("two"))
	w.moved(handover.Bot, handover.CauseControlReturned)
	w.called("answer", "ok", 3)
	w.wantTexts("Passing you on.", "Automated again.\n\nWe are open from nine to five.", "one of two", "two of two")
}

func TestTimeLimitTakesTheThreadBackInSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rules.TimeLimit = 50 * time.Millisecond
	w.start()
	w.accept(text("human"))
	w.moved(handover.Bot, handover.CauseTimeLimit)
	w.accept(text("hours"))
	w.called("answer", "ok", 1)
	w.wantTexts("Passing you on.", "Automated again.\n\nWe are open from nine to five.")
}

func TestOperatorsOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.order(engine.OrderPass)
	w.moved(handover.Waiting, handover.CauseOperator)
	w.called("say_and_pass", "ok", 1)
	w.order(engine.OrderTake)
	w.moved(handover.Bot, handover.CauseOperator)
	w.order(engine.OrderRelease)
	w.called("release", "ok", 1)
	w.order(engine.OrderDelete)
	ev := text("hello") // to the forgotten thread it is the first text again
	w.accept(ev)
	w.called("answer", "ok", 1)
	for _, name := range w.mini.Keys() {
		if strings.Contains(name, ":h:") {
			if items, _ := w.mini.List(name); len(items) > 2 {
				t.Errorf("history has %d lines after the deletion, want the greeting's alone: %s", len(items), items)
			}
		}
	}
}

// A call that hangs delays its own thread only.
func TestSlowThreadDelaysNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.start()
	w.accept(text("hours"))
	if got := <-w.graph.begun; !strings.Contains(got, string(ann)) {
		t.Fatalf("first call = %q, want Ann's", got)
	}
	w.graph.mu.Lock()
	w.graph.hold = nil // Ann's call hangs on, until it times out
	w.graph.mu.Unlock()
	w.accept(from(bob, text("two")))
	w.until("Bob's second message", func(l engine.Line) bool {
		return strings.HasSuffix(l.Thread, string(bob)) && l.Outcome == "ok"
	})
	if got := w.graph.texts(); !slices.Equal(got, []string{"one of two"}) && !slices.Equal(got, []string{"one of two", "two of two"}) {
		t.Errorf("said %q, want Bob's alone", got)
	}
}

func TestUnknownPageIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	ev := text("hello")
	ev.Thread = messenger.ThreadKey{Page: "999", PSID: ann}
	w.accept(ev)
	w.until("the burial", func(l engine.Line) bool { return l.What == "buried" })
}

// deadStore is the store of a replica that was killed, once it is dead.
type deadStore struct {
	engine.Store

	dead atomic.Bool
}

var errDead = errors.New("this replica is dead")

func (d *deadStore) check() error {
	if d.dead.Load() {
		return errDead
	}
	return nil
}

func (d *deadStore) Heartbeat(ctx context.Context, m string, ttl time.Duration) ([]string, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return d.Store.Heartbeat(ctx, m, ttl)
}

func (d *deadStore) Renew(ctx context.Context, l []handover.Lease, ttl time.Duration) (kept, lost []int, err error) {
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	return d.Store.Renew(ctx, l, ttl)
}

func (d *deadStore) Acquire(ctx context.Context, p int, token string, ttl time.Duration) (handover.Lease, bool, error) {
	if err := d.check(); err != nil {
		return handover.Lease{}, false, err
	}
	return d.Store.Acquire(ctx, p, token, ttl)
}

func (d *deadStore) Read(ctx context.Context, p, limit int) (handover.Batch, error) {
	if err := d.check(); err != nil {
		return handover.Batch{}, err
	}
	return d.Store.Read(ctx, p, limit)
}

func (d *deadStore) Commit(ctx context.Context, c handover.Commit) (handover.Committed, error) {
	if err := d.check(); err != nil {
		return handover.Committed{}, err
	}
	return d.Store.Commit(ctx, c)
}

func (d *deadStore) Release(ctx context.Context, l handover.Lease, clean bool) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Store.Release(ctx, l, clean)
}

// deadGraph is the Graph of a replica that was killed, once it is dead. What was on its
// way still arrives.
type deadGraph struct {
	engine.Graph

	of *deadStore
}

func (d *deadGraph) Send(ctx context.Context, to messenger.PSID, m graph.Message) (messenger.MessageID, error) {
	if err := d.of.check(); err != nil {
		return "", err
	}
	return d.Graph.Send(ctx, to, m)
}

// startMortal runs a replica that can be killed: from then on nothing it does
// reaches the store, and it says nothing more, as after kill -9.
func (w *world) startMortal() (kill func()) {
	w.t.Helper()
	o := w.options()
	store := &deadStore{Store: w.store}
	o.Store, o.StopTimeout = store, time.Millisecond
	pg := o.Pages[page]
	pg.Graph = &deadGraph{Graph: pg.Graph, of: store}
	o.Pages[page] = pg
	e, err := engine.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	e.SetStuckAfter(time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-done //nolint:errcheck // it was killed: of course it did not end well
	})
	return func() { store.dead.Store(true) }
}

// Killed between deciding and sending: the next owner waits for an echo, then
// says what was decided, once.
func TestKilledBetweenDecidingAndSending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.failNext(&graph.Error{Edge: "messages", Status: 500, Code: 2})
	w.accept(text("hours"))
	w.called("answer", "failed, again later", 1)
	kill()
	w.start()
	w.called("answer", "ok", 1)
	w.wantTexts("We are open from nine to five.")
}

// Killed while a call was in flight that did reach Meta: the echo settles it.
func TestKilledAfterSendingIsSettledByTheEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kill := w.startMortal()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.accept(text("two"))
	<-w.graph.begun // the send of "one of two" is on its way
	id := effectOf(w, 0)
	kill()
	close(w.graph.hold) // it arrives
	w.accept(messenger.Event{Kind: messenger.KindEcho, App: app, Metadata: "usher:" + id})
	w.start(func(o *engine.Options) { o.EchoGrace = 200 * time.Millisecond })
	w.called("answer", "ok", 2)
	w.wantTexts("one of two", "two of two")
}

// A partition that was given back cleanly is served at once by the next owner.
func TestCleanStopLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.start()
	w.graph.begun, w.graph.hold = make(chan string, 10), make(chan struct{})
	w.accept(text("two"))
	<-w.graph.begun
	close(w.graph.hold)
	stop()
	w.start(func(o *engine.Options) { o.EchoGrace, o.Lease = time.Hour, time.Minute }) // who waited for an echo would wait for ever
	w.called("answer", "ok", 2)
	w.wantTexts("one of two", "two of two")
}

// unrenewed is a store that renews no lease any more, once it is cut.
type unrenewed struct {
	engine.Store

	cut atomic.Bool
}

func (u *unrenewed) Renew(ctx context.Context, l []handover.Lease, ttl time.Duration) (kept, lost []int, err error) {
	if u.cut.Load() {
		return nil, nil, errDead
	}
	return u.Store.Renew(ctx, l, ttl)
}

// An owner that wakes up after its lease begins no call, though no other owner
// has fenced its commits yet.
func TestOwnerWithoutTrustBeginsNoCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &unrenewed{Store: w.store}
	w.start(func(o *engine.Options) {
		o.Store = store
		o.Now = func() time.Time {
			if store.cut.Load() {
				return time.Now().Add(time.Hour) // it was frozen for an hour
			}
			return time.Now()
		}
	})
	w.accept(text("hello"))
	w.called("answer", "ok", 1)
	store.cut.Store(true)
	ev := text("hours")
	ev.MID = "m_frozen"
	w.accept(ev)
	w.handled("message:m_frozen")
	// Turns of other threads pass, in which the answer could have been sent.
	for i := range 10 {
		other := from(bob, messenger.Event{Kind: messenger.KindUnknown, Field: "nothing to answer"})
		other.MID = messenger.MessageID(fmt.Sprintf("m_turn_%d", i))
		other.Thread.PSID = samePartition(ann)
		w.accept(other)
		w.handled("unknown:" + string(other.MID))
	}
	if got := w.graph.texts(); len(got) != 1 {
		t.Errorf("said %q, want nothing after the freeze", got)
	}
}

// samePartition returns somebody else whose thread lives in the same partition.
func samePartition(psid messenger.PSID) messenger.PSID {
	want := messenger.ThreadKey{Page: page, PSID: psid}.Partition(8)
	for n := 1; ; n++ {
		other := messenger.PSID(strconv.Itoa(8_000_000_000_000_000 + n))
		if (messenger.ThreadKey{Page: page, PSID: other}).Partition(8) == want {
			return other
		}
	}
}

// A thread whose stored state cannot be read is people's, in silence, until the
// time limit gives it back.
func TestUnreadableThreadIsPeoplesUntilTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rules.TimeLimit = 200 * time.Millisecond
	key := messenger.ThreadKey{Page: page, PSID: ann}
	if err := w.mini.Set(fmt.Sprintf("usher:{p%d}:t:%s", key.Partition(8), key), "not JSON"); err != nil {
		t.Fatal(err)
	}
	w.start()
	ev := standby(text("hours"))
	ev.MID = "m_silent"
	w.accept(ev)
	w.handled("message:m_silent")
	w.moved(handover.Bot, handover.CauseTimeLimit)
	w.accept(text("two"))
	w.called("answer", "ok", 2)
	w.wantTexts("Automated again.\n\none of two", "two of two")
}
