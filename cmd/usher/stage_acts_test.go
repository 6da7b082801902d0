package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/cmd/usher/page"
	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// A visitor plays the customer and the agent, through a handoff and all the ways
// back.
func TestDemoPagePlays(t *testing.T) {
	t.Parallel()
	b := browse(t, newTheatre(t, nil))
	s := b.until("the stage", func(s page.State) bool { return s.Up })
	if len(s.Customers) != 3 || !s.Graph || !s.Webhooks || s.Done != "pass" || s.Playing != "" || len(s.Situations) != 6 ||
		s.Page.ID != stagePage || s.Page.Name != "Corner Shop" || s.Page.App != stageApp || s.Page.Inbox != messenger.PageInbox {
		t.Errorf("state = %+v", s)
	}
	for i, want := range []page.Customer{{Name: "Ann Lee", Locale: "en_US"}, {Name: "Omar Haddad", Locale: "ar_AR"}, {Name: "Zoë Müller", Locale: "de_DE"}} {
		c := s.Customers[i]
		if c.Name != want.Name || c.Locale != want.Locale || !c.Phone.GetStarted || c.Phone.Greeting == "" || len(c.Phone.Menu) < 2 ||
			c.Thread.Phase != "bot" || c.Thread.OwnerName != "nobody (idle)" || !c.Thread.Window.IsZero() {
			t.Errorf("customer %d = %+v", i, c)
		}
	}

	b.act(page.DoStart, ann, "")
	c := b.untilAnn("the greeting", func(c page.Customer) bool { return strings.HasPrefix(last(c), "Hello!") })
	if c.Thread.Window.Sub(s.Now) < 23*time.Hour {
		t.Errorf("the window is open until %v", c.Thread.Window)
	}
	b.act(page.DoReply, ann, "Talk to a human")
	c = b.untilAnn("the handoff", func(c page.Customer) bool {
		return c.Inbox.Notified && c.Thread.Phase == "waiting" && c.Thread.Pending == 0
	})
	if th := c.Thread; th.Phase != "waiting" || th.Cause != "quick_reply" || th.Why != "Ann tapped Talk to a human" || th.OwnerName != "Page Inbox" ||
		th.Owner != messenger.PageInbox || th.Episode != 1 || th.Limit.Sub(th.Since) != 12*time.Hour || th.Lapses.IsZero() || !th.Reopen.IsZero() {
		t.Errorf("thread = %+v", th)
	}
	if c.Inbox.Folder != simulator.FolderMain || !c.Inbox.Controls {
		t.Errorf("inbox = %+v", c.Inbox)
	}
	b.act(page.DoOpen, ann, "")
	b.untilAnn("the badge goes", func(c page.Customer) bool { return !c.Inbox.Notified && c.Inbox.Unread == 0 })
	b.act(page.DoAgent, ann, "Kim here")
	b.untilAnn("the agent has it", func(c page.Customer) bool { return c.Thread.Phase == "human" && c.Thread.Why == "an agent wrote" })
	b.act(page.DoSays, ann, "is my order on its way?")
	b.untilTold(kindDecision, "message on standby: people have the thread")
	b.act(page.DoButton, ann, "Back to bot")
	b.untilAnn("back by the button", func(c page.Customer) bool {
		return c.Thread.Phase == "bot" && c.Thread.Why == "Ann tapped Back to bot" && strings.HasPrefix(last(c), "You're back")
	})

	b.act(page.DoMenu, ann, "Talk to a human")
	b.untilAnn("waiting by the menu", func(c page.Customer) bool {
		return c.Thread.Phase == "waiting" && c.Thread.Cause == "menu" && c.Inbox.Controls
	})
	b.act(page.DoDone, ann, "")
	b.untilAnn("Done", func(c page.Customer) bool { return c.Thread.Phase == "bot" && c.Thread.Why == "the agent clicked Done" })
	b.act(page.DoSends, ann, "like")
	b.untilAnn("an answer", func(c page.Customer) bool { return strings.Contains(last(c), "I can only read text") })
	b.act(page.DoReacts, ann, "love")
	b.untilAnn("the reaction", func(c page.Customer) bool { return c.Phone.Lines[len(c.Phone.Lines)-1].Reaction == "love" })
	b.act(page.DoReads, ann, "")
	b.untilAnn("seen", func(c page.Customer) bool { return c.Phone.Lines[len(c.Phone.Lines)-1].Seen })
	b.act(page.DoMain, ann, "")
	b.untilAnn("moved to Main", func(c page.Customer) bool { return c.Inbox.Folder == simulator.FolderMain && c.Inbox.Controls })

	s = b.until("the tally", func(s page.State) bool { return s.Tally.Answered >= 6 })
	if got := s.Tally; got.Lost+got.Doubled+got.Over != 0 || got.Events < 12 {
		t.Errorf("tally = %+v, want nothing lost, doubled or over", got)
	}
	delivery := b.untilTold(kindWebhook, "quick_reply on messaging → 200")
	call := b.untilTold(kindCall, "thread_control: pass")
	for of, want := range map[string][]string{
		string(delivery.JSON): {`"object":"page"`, `"quick_reply"`, string(ann)},
		string(call.JSON):     {`"request"`, `"thread_control"`, `"status":200`, `"message_id"`},
		string(b.untilTold(kindDecision, "from bot to waiting; say so and pass control to the Page Inbox").JSON): {`"cause":"quick_reply"`},
	} {
		for _, w := range want {
			if !strings.Contains(of, w) {
				t.Errorf("entry has %s, want %s in it", of, w)
			}
		}
	}
	for _, e := range b.entries {
		if strings.Contains(string(e.JSON), stageToken) || strings.Contains(string(e.JSON), "proof") || e.At.IsZero() || e.Title == "" {
			t.Errorf("entry %+v shows a secret, or has no time or title", e)
		}
	}
	if acts := b.titles(kindAct); acts[0] != "Ann taps “Get Started”" || acts[1] != "Ann taps “Talk to a human”" {
		t.Errorf("acts = %q", acts)
	}
}

// The clock, Graph, Done and the number of customers are the visitor's.
func TestDemoPageWorld(t *testing.T) {
	t.Parallel()
	b := browse(t, newTheatre(t, nil))
	first := b.until("the stage", func(s page.State) bool { return s.Up })
	b.act(page.DoCustomer, "", " Mia Chen ")
	s := b.until("a new customer", func(s page.State) bool { return len(s.Customers) == 4 })
	mia := s.Customers[3]
	if mia.Name != "Mia Chen" || !mia.Phone.GetStarted {
		t.Errorf("the new one is %+v", mia)
	}
	b.act(page.DoSays, mia.PSID, "human")
	b.act(page.DoSays, omar, "hello")
	b.until("her handoff, his greeting", func(s page.State) bool {
		return s.Customers[3].Thread.Phase == "waiting" && strings.HasPrefix(last(s.Customers[1]), "Hello!")
	})
	b.act(page.DoForward, "", "12h")
	s = b.until("the time limit", func(s page.State) bool { return s.Customers[3].Thread.Phase == "bot" })
	if th := s.Customers[3].Thread; th.Cause != "time_limit" || th.Why != "no agent wrote for 12h" || s.Ahead != (12*time.Hour).Milliseconds() ||
		s.Now.Sub(first.Now) < 12*time.Hour {
		t.Errorf("thread = %+v, %d ms ahead, %v after %v", th, s.Ahead, s.Now, first.Now)
	}

	b.act(page.DoGraph, "", "down")
	b.act(page.DoSays, omar, "what are your opening hours?")
	b.until("an answer that waits", func(s page.State) bool { return !s.Graph && s.Customers[1].Thread.Pending == 1 })
	if e := b.untilTold(kindCall, "→ 503"); e.Tone != toneBad || !strings.Contains(string(e.JSON), `"code":2`) {
		t.Errorf("the failed call is %+v with %s", e, e.JSON)
	}
	b.act(page.DoGraph, "", "up")
	b.act(page.DoForward, "", "1m")
	b.until("the answer", func(s page.State) bool { return s.Graph && strings.Contains(last(s.Customers[1]), "9 to 17") })

	b.act(page.DoDoneIs, "", "release")
	b.act(page.DoSays, omar, "human")
	b.until("his handoff", func(s page.State) bool { return s.Done == "release" && s.Customers[1].Inbox.Controls })
	b.act(page.DoDone, omar, "")
	b.until("idle, and nobody knows", func(s page.State) bool {
		return s.Customers[1].Thread.OwnerName == "nobody (idle)" && s.Customers[1].Thread.Phase == "waiting"
	})

	b.act(page.DoReset, "", "")
	s = b.until("a new stage", func(s page.State) bool { return len(s.Customers) == 3 && s.First > first.First })
	if len(s.Customers[1].Phone.Lines) != 0 || s.Ahead != 0 || s.Done != "pass" || s.Tally != (page.Tally{}) {
		t.Errorf("after the reset the state is %+v", s)
	}
	b.act(page.DoSays, ann, "hello")
	b.untilAnn("it works", func(c page.Customer) bool { return strings.HasPrefix(last(c), "Hello!") })
}

// From the instant of a kill nothing that Usher does reaches Redis or Meta; what
// Meta has to say meanwhile is refused, and comes again.
func TestDemoKillIsSudden(t *testing.T) {
	t.Parallel()
	var stored atomic.Int64
	th := newTheatre(t, func(o *theatreOptions) {
		o.inbox = func(_ *theatre, in webhook.Inbox) webhook.Inbox {
			return tellingInbox{Inbox: in, tell: func([]messenger.Event) { stored.Add(1) }}
		}
	})
	b := browse(t, th)
	b.act(page.DoSays, ann, "hello")
	b.untilAnn("the greeting", func(c page.Customer) bool { return strings.HasPrefix(last(c), "Hello!") })
	if err := th.stage.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead := th.stage.usher()
	keep, release := make(chan struct{}), make(chan struct{})
	answering := func(*http.Request) { // its answer stands in the outbox, and is on its way
		select {
		case <-keep:
		default:
			close(keep)
		}
		<-release
	}
	th.fuse.Store(&answering)
	b.act(page.DoSays, ann, "what are your opening hours?")
	<-keep
	th.fuse.Store(nil)
	b.act(page.DoKill, "", "")
	calls, pending := len(th.stage.meta.Calls()), func() int {
		s, err := th.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Customers[0].Thread.Pending
	}
	for name, err := range map[string]error{
		"redis":          dead.rdb.Ping(t.Context()).Err(),
		"redis pipeline": func() error { _, err := dead.rdb.Pipelined(t.Context(), pingTwice); return err }(),
	} {
		if !errors.Is(err, errKilled) {
			t.Errorf("%s answers a dead Usher with %v", name, err)
		}
	}
	close(release) // the call goes on, of an Usher that is dead
	<-dead.ran
	if n := len(th.stage.meta.Calls()); n != calls || pending() != 1 {
		t.Errorf("after the kill Meta got %d calls more, and %d are pending; want none and 1", n-calls, pending())
	}
	if status, refusal := b.try(page.DoKill, "", ""); status != http.StatusConflict || !strings.Contains(refusal, "down already") {
		t.Errorf("a second kill: %d %s", status, refusal)
	}

	before := stored.Load()
	b.act(page.DoSays, omar, "hello")
	if e := b.untilTold(kindWebhook, "message on messaging → no answer"); e.Tone != toneBad || e.PSID != omar {
		t.Errorf("the refused webhook is %+v", e)
	}
	b.until("down", func(s page.State) bool { return !s.Up })
	if n := stored.Load(); n != before {
		t.Errorf("a dead Usher took %d webhooks in", n-before)
	}
	b.act(page.DoRestart, "", "")
	s := b.until("both answers", func(s page.State) bool {
		return s.Up && strings.Contains(last(s.Customers[0]), "9 to 17") && strings.HasPrefix(last(s.Customers[1]), "Hello!")
	})
	if len(s.Customers[0].Phone.Lines) != 4 || len(s.Customers[1].Phone.Lines) != 2 {
		t.Errorf("the phones show %d and %d lines, want 4 and 2", len(s.Customers[0].Phone.Lines), len(s.Customers[1].Phone.Lines))
	}
	b.untilTold(kindWebhook, "message on messaging, attempt")
	if status, _ := b.try(page.DoRestart, "", ""); status != http.StatusConflict {
		t.Errorf("a restart of what runs: %d, want 409", status)
	}
}

// A kill waits for what is under way at Redis, and lets nothing begin that this
// needs: a connection, say.
func TestKillWaitsForRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &life{killed: make(chan struct{}), rest: func() {}}
		l.idle.L = &l.mu
		reply, done, dead := make(chan struct{}), make(chan error, 1), make(chan struct{})
		go func() {
			done <- l.whileAlive(nil, func() error {
				<-reply
				return l.whileAlive(nil, func() error { return nil })
			})
		}()
		synctest.Wait()
		go func() { l.kill(); close(dead) }()
		synctest.Wait()
		select {
		case <-dead:
			t.Error("it did not wait")
		default:
		}
		close(reply)
		<-dead
		if err := <-done; !errors.Is(err, errKilled) {
			t.Errorf("what the call needed got %v, want that it is killed", err)
		}
	})
}

// What was acknowledged and waits in Redis is not lost; what is nowhere is.
func TestWhatWaitsIsNotLost(t *testing.T) {
	t.Parallel()
	th := newTheatre(t, nil)
	b := browse(t, th)
	b.act(page.DoKill, "", "")
	event := messenger.Event{ID: "message:m_1", Thread: keyOf(ann), Kind: messenger.KindMessage, MID: "m_1", Text: "hello"}
	if err := th.stage.store.Append(t.Context(), []messenger.Event{event}); err != nil {
		t.Fatal(err)
	}
	ledger{th.tally}.told(event.Kind, event.MID, http.StatusOK, 1)
	lost := func() int {
		s, err := th.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Tally.Lost
	}
	if n := lost(); n != 0 {
		t.Errorf("%d lost while it waits", n)
	}
	rdb := redis.NewClient(&redis.Options{Addr: th.stage.redis})
	defer func() { _ = rdb.Close() }()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n := lost(); n != 1 {
		t.Errorf("%d lost when Redis has forgotten it, want 1", n)
	}
}

func pingTwice(p redis.Pipeliner) error {
	p.Ping(context.Background())
	p.Ping(context.Background())
	return nil
}

// An app that fails for an hour is unsubscribed; who starts Usher again sets it up.
func TestDemoRestartSubscribesAgain(t *testing.T) {
	t.Parallel()
	b := browse(t, newTheatre(t, nil))
	b.act(page.DoKill, "", "")
	b.act(page.DoSays, ann, "hello")
	b.untilTold(kindWebhook, "no answer")
	b.act(page.DoForward, "", "2h")
	b.until("unsubscribed", func(s page.State) bool { return !s.Webhooks })
	b.untilTold(kindAct, "Meta unsubscribes")
	b.act(page.DoRestart, "", "")
	b.until("subscribed", func(s page.State) bool { return s.Webhooks && s.Up })
	b.act(page.DoSays, ann, "hello")
	b.untilAnn("it works", func(c page.Customer) bool { return strings.HasPrefix(last(c), "Hello!") })
}

// What cannot be done is refused with a word for people.
func TestDemoRefusals(t *testing.T) {
	t.Parallel()
	th := newTheatre(t, nil)
	b := browse(t, th)
	tests := map[string]struct {
		do     string
		psid   messenger.PSID
		text   string
		status int
		says   string
	}{
		"unknown_customer":  {page.DoSays, "42", "hello", 404, "no customer 42"},
		"unknown_situation": {page.DoPlay, ann, "volcano", 404, "no situation"},
		"no_quick_reply":    {page.DoReply, ann, "Talk to a human", 409, "not on the phone"},
		"no_button":         {page.DoButton, ann, "Back to bot", 409, "not on the phone"},
		"no_menu_item":      {page.DoMenu, ann, "Order", 409, "not on the phone"},
		"no_reaction":       {page.DoReacts, ann, "love", 409, "not on the phone"},
		"no_medium":         {page.DoSends, ann, "smoke", 409, "not on the phone"},
		"no_window":         {page.DoAgent, ann, "hello", 409, "outside the 7 days"},
		"no_time":           {page.DoForward, "", "soon", 400, "not \\\"soon\\\""},
		"back_in_time":      {page.DoForward, "", "-1h", 400, "1s to 7d"},
		"far_ahead":         {page.DoForward, "", "8d", 400, "1s to 7d"},
		"graph_sideways":    {page.DoGraph, "", "sideways", 400, "down or up"},
		"done_explodes":     {page.DoDoneIs, "", "explode", 400, "pass, release, nothing"},
		"up_already":        {page.DoRestart, "", "", 409, "Usher is up"},
	}
	for name, tt := range tests {
		if status, refusal := b.try(tt.do, tt.psid, tt.text); status != tt.status || !strings.Contains(refusal, tt.says) {
			t.Errorf("%s: %d %s, want %d with %q", name, status, refusal, tt.status, tt.says)
		}
	}
	for range maxCast - 3 {
		b.act(page.DoCustomer, "", "Somebody")
	}
	if status, refusal := b.try(page.DoCustomer, "", "One more"); status != http.StatusConflict || !strings.Contains(refusal, "24 customers") {
		t.Errorf("customer 25: %d %s", status, refusal)
	}
	th.stage.clock.forward(maxAhead)
	if status, _ := b.try(page.DoForward, "", "1h"); status != http.StatusConflict {
		t.Errorf("a year and an hour ahead: %d, want 409", status)
	}
}
