package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"usher/messenger"
	"usher/messenger/simulator"
)

// what stands in a thread's story.
func wantStory(t *testing.T, story string, lines ...string) {
	t.Helper()
	rest := story
	for _, want := range lines {
		at := regexp.MustCompile(want).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("the story lacks %q where it belongs:\n%s", want, story)
		}
		rest = rest[at[1]:]
	}
}

// must stops the test where a person cannot do what it wants.
func must(t *testing.T) func(mid messenger.MessageID, err error) {
	t.Helper()
	return func(_ messenger.MessageID, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A customer is greeted, asks for a person, writes to people undisturbed, and
// calls the bot back; and `usher thread show` tells all of it.
func TestConversation(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	const ann = messenger.PSID("7000000000000001")
	her := w.meta.Customer(ann)

	must(t)(her.Says("hello"))
	w.settle(t)
	sends := w.calls(ann, simulator.EdgeMessages)
	if len(sends) != 1 || !slices.Contains(sends[0].QuickReplies, "Talk to a human") || sends[0].Control != "" {
		t.Fatalf("hello is answered by %+v, want one Send with a quick reply Talk to a human", sends)
	}

	must(t)(her.TapsQuickReply("Talk to a human"))
	w.settle(t)
	sends = w.calls(ann, simulator.EdgeMessages)
	if len(sends) != 2 || sends[1].Control != "pass "+inbox || !slices.Equal(sends[1].Buttons, []string{"Back to bot"}) || !sends[1].OK() {
		t.Fatalf("Talk to a human is answered by %+v, want one Send more, which passes to the inbox and has a button Back to bot", sends)
	}
	if others := w.calls(ann, simulator.EdgePass, simulator.EdgeTake); len(others) > 0 {
		t.Errorf("Talk to a human leads to %+v, want no call but the Send", others)
	}
	wantStory(t, w.story(t, ann), `now +waiting since .* \(quick_reply\), until `, `episode +#1 by quick_reply`)

	for _, text := range []string{"is anybody there?", "I hate this bot", "hello"} {
		must(t)(her.Says(text))
	}
	w.settle(t)
	w.wantChannel(t, ann, simulator.Standby)
	if got := w.calls(ann); len(got) != 2 {
		t.Fatalf("texts on standby lead to %+v, want silence", got[2:])
	}

	must(t)(w.meta.Agent().Replies(ann, "Here I am."))
	w.settle(t)
	must(t)(her.Says("thank you"))
	w.settle(t)
	wantStory(t, w.story(t, ann), `now +human since .* \(agent_spoke\), until `, `first reply`)

	must(t)(her.Says("  BOT! "))
	w.settle(t)
	takes, sends := w.calls(ann, simulator.EdgeTake), w.calls(ann, simulator.EdgeMessages)
	if len(takes) != 1 || !takes[0].OK() || len(sends) != 3 || !strings.HasPrefix(sends[2].Text, "You're back") || sends[2].Control != "" {
		t.Fatalf("the keyword leads to takes %+v and Sends %+v, want one take and one Send more", takes, sends)
	}
	if owner, _ := w.meta.Owner(ann); owner != testApp {
		t.Errorf("%q controls the thread at Meta, want %s", owner, testApp)
	}

	must(t)(her.Says("opening hours"))
	w.settle(t)
	if sends := w.calls(ann, simulator.EdgeMessages); len(sends) != 4 || !strings.HasPrefix(sends[3].Text, "We are open") {
		t.Errorf("after the way back the answers are %+v, want one more, about the hours", sends[3:])
	}

	wantStory(t, w.story(t, ann),
		`thread +`+testPage+`:`+string(ann)+` \(in logs: [0-9a-f]{10}\)`,
		`now +bot since .* \(keyword\)`,
		`message +decides: answer  rule greeting`,
		`answer +ok`,
		`quick_reply +bot → waiting \(quick_reply\)  decides: say_and_pass handoff to `+inbox,
		`say_and_pass handoff to `+inbox+` +ok`,
		`message \(standby\) +people have the thread`,
		`message \(standby\) +people have the thread`,
		`message \(standby\) +people have the thread`,
		`echo \(standby\) +waiting → human \(agent_spoke\)`,
		`message \(standby\) +people have the thread`,
		`message \(standby\) +decides: take, say back`,
		`take +ok  human → bot \(keyword\)`,
		`say back +ok`,
		`message +decides: answer  rule hours`,
	)
}

// wantChannel wants the customer's last message to have come on a channel.
func (w *metaWorld) wantChannel(t *testing.T, psid messenger.PSID, want simulator.Channel) {
	t.Helper()
	var last simulator.Told
	for _, d := range w.meta.Deliveries(testApp) {
		for _, e := range d.Events {
			if e.PSID == psid && e.Kind == messenger.KindMessage {
				last = e
			}
		}
	}
	if last.Channel != want {
		t.Fatalf("the last message came on %q, want %q: this test tests nothing", last.Channel, want)
	}
}

// situation is a customer and an agent in a world that others use as well.
type situation struct {
	*testing.T
	*metaWorld

	her   *simulator.Customer
	agent *simulator.Agent
}

// then waits until what somebody did has had its consequences.
func (s situation) then(_ messenger.MessageID, err error) {
	s.Helper()
	must(s.T)("", err)
	s.settle(s.T)
}

// handedOver brings her to people.
func (s situation) handedOver() {
	s.Helper()
	s.then(s.her.Says("human"))
	if owner, _ := s.meta.Owner(s.her.PSID()); owner != inbox {
		s.Fatalf("%q controls the thread after the handoff, want the inbox", owner)
	}
}

// Whatever gives a thread to people or takes it back moves its state, and says why.
func TestChangesOfHands(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	tests := map[string]struct {
		play  func(s situation)
		now   string   // at the head of the story
		story []string // further down
		sends int
	}{
		"an_agent_types_first": {
			play: func(s situation) {
				s.then(s.her.Says("hello"))
				s.then(s.agent.Replies(s.her.PSID(), "Let me help."))
				s.then(s.her.Says("please do"))
			},
			now: `human since .* \(agent_spoke\)`, story: []string{`echo.* bot → human \(agent_spoke\)`, `people have the thread`}, sends: 1,
		},
		"an_agent_moves_it_to_main": { // the inbox takes an idle thread: nobody tells
			play: func(s situation) {
				s.then(s.her.Says("hello"))
				s.then("", s.agent.MovesToMain(s.her.PSID()))
				s.then(s.her.Says("anybody?"))
			},
			now: `human since .* \(control_lost\)`, story: []string{`message \(standby\) +bot → human \(control_lost\)`}, sends: 1,
		},
		"done": {
			play: func(s situation) {
				s.handedOver()
				s.then(s.agent.Replies(s.her.PSID(), "Solved."))
				s.then("", s.agent.Done(s.her.PSID()))
			},
			now: `bot since .* \(done\)`, story: []string{`pass .*human → bot \(done\)`}, sends: 1, // the bot never speaks first
		},
		"done_and_the_next_question": {
			play: func(s situation) {
				s.handedOver()
				s.then("", s.agent.Done(s.her.PSID()))
				s.then(s.her.Says("opening hours"))
				lines := s.meta.Transcript(s.her.PSID())
				if last := lines[len(lines)-1].Text; !strings.HasPrefix(last, "This is the automated assistant again.") {
					s.Errorf("the first answer after people is %q, want it to disclose the bot", last)
				}
			},
			now: `bot since .* \(done\)`, sends: 2,
		},
		"the_button": {
			play: func(s situation) {
				s.handedOver()
				s.then(s.her.TapsButton("Back to bot"))
			},
			now: `bot since .* \(button\)`, story: []string{`postback +decides: take, say back`, `take +ok  waiting → bot \(button\)`}, sends: 2,
		},
		"a_send_is_refused_with_2018300": {
			play: func(s situation) {
				s.meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: 10, Subcode: 2018300, PSID: s.her.PSID(), Times: -1})
				s.then(s.her.Says("hello"))
			},
			now: `human since .* \(control_lost\)`, story: []string{`answer +refused: another app has control  bot → human \(control_lost\)`}, sends: 1,
		},
	}
	psid := 7000000000000100
	for name, tt := range tests {
		psid++
		her := w.meta.Customer(messenger.PSID(strconv.Itoa(psid)))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.play(situation{T: t, metaWorld: w, her: her, agent: w.meta.Agent()})
			wantStory(t, w.story(t, her.PSID()), append([]string{`now +` + tt.now}, tt.story...)...)
			if got := w.calls(her.PSID(), simulator.EdgeMessages); len(got) != tt.sends {
				t.Errorf("%d Sends: %+v, want %d", len(got), got, tt.sends)
			}
		})
	}
}

// A time limit that lapses takes the thread back without a word.
func TestTimeLimitLapses(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t, "USHER_HANDOVER_TIME_LIMIT", "1s")
	const ann = messenger.PSID("7000000000000001")
	must(t)(w.meta.Customer(ann).Says("human"))
	w.settle(t)
	eventually(t, "the limit takes the thread back", func() bool { return strings.Contains(w.story(t, ann), "now       bot") })
	w.settle(t)
	if owner, _ := w.meta.Owner(ann); owner != testApp {
		t.Errorf("%q controls the thread at Meta, want %s", owner, testApp)
	}
	if sends, takes := w.calls(ann, simulator.EdgeMessages), w.calls(ann, simulator.EdgeTake); len(sends) != 1 || len(takes) != 1 {
		t.Errorf("Sends %+v and takes %+v, want the handoff and one take: the bot never speaks first", sends, takes)
	}
	wantStory(t, w.story(t, ann), `now +bot since .* \(time_limit\)`,
		`say_and_pass handoff to `+inbox+` +ok`, `timer +decides: take`, `take +ok  waiting → bot \(time_limit\)`)
}
