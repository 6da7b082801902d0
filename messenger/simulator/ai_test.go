package simulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestAIControlsAThread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ai := w.AI()
	w.says("hello")
	w.post("take_thread_control", "").wantOK(t)
	w.told()
	if err := ai.Takes(ann); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(messenger.BusinessAI)
	w.wantTold() // without a word
	w.send("hi", "").want(t, 400, 10, 2018300)
	w.says("prices?")
	mid, err := ai.Replies(ann, "From 10.")
	if err != nil {
		t.Fatal(err)
	}
	if lines := w.Transcript(ann); lines[2].MID != mid || lines[2].App != messenger.BusinessAI {
		t.Errorf("line = %+v, want the AI's %s", lines[2], mid)
	}
	w.wantTold(`standby message "prices?"`, `standby echo of ai "From 10."`)
	echo := w.ear.last()
	if !bytes.Contains(echo, []byte(`"ai_generated":true`)) || !bytes.Contains(echo, []byte(`"hop_context":{"is_ai_thread_owner":true}`)) {
		t.Errorf("echo = %s, want it marked, beside its context", echo)
	}
	if err := ai.Notes(ann, "A person will take over."); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`standby notice "A person will take over."`)
	if n := len(w.Transcript(ann)); n != 3 {
		t.Errorf("%d lines, want no line of the notice", n)
	}
	if err := ai.Leaves(ann); err != nil {
		t.Fatal(err)
	}
	w.wantOwner("")
	w.says("thanks")
	w.wantTold(`messaging message "thanks"`)
	if bytes.Contains(w.ear.last(), []byte("hop_context")) {
		t.Errorf("delivery = %s, want no context after the AI has left", w.ear.last())
	}
	w.send("welcome", "").wantOK(t)
	w.wantTold(`messaging echo of bot "welcome"`)
	if bytes.Contains(w.ear.last(), []byte("ai_generated")) {
		t.Errorf("our echo is marked as the AI's: %s", w.ear.last())
	}
}

// The previous controller is told as often as the doubt says, in seconds.
func TestAITakeIsTold(t *testing.T) {
	t.Parallel()
	for _, times := range []int{0, 1, 4} {
		t.Run(fmt.Sprint("times_", times), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.AITakeTold = times }))
			w.says("hello")
			w.post("take_thread_control", "").wantOK(t)
			w.told()
			if err := w.AI().Takes(ann); err != nil {
				t.Fatal(err)
			}
			var want []string
			for range times {
				want = append(want, `messaging take bot to ai ""`)
			}
			w.wantTold(want...)
			if times == 0 {
				return
			}
			var body heardBody
			if err := json.Unmarshal(w.ear.last(), &body); err != nil {
				t.Fatal(err)
			}
			if got := body.Entry[0].Messaging[0].Timestamp; got != w.clock().Unix() {
				t.Errorf("timestamp = %d, want seconds", got)
			}
		})
	}
}

func TestAIEchoOnMessaging(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.AIEchoOnMessaging = true }))
	w.says("hello")
	if err := w.AI().Takes(ann); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AI().Replies(ann, "hi"); err != nil {
		t.Fatal(err)
	}
	agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Replies(ann, "Tom") })
	w.wantTold(`messaging message "hello"`, `messaging echo of ai "hi"`, `standby echo of inbox "Tom"`)
}

// The AI obeys the rules of every app.
func TestAIMayNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ai := w.AI()
	refused := func(err error, code, subcode int) {
		t.Helper()
		if e, ok := errors.AsType[*simulator.GraphError](err); !ok || e.Code != code || e.Subcode != subcode {
			t.Errorf("refused with %v, want %d/%d", err, code, subcode)
		}
	}
	if err := ai.Takes("404"); !errors.Is(err, simulator.ErrNobody) {
		t.Errorf("take nobody's thread = %v, want ErrNobody", err)
	}
	w.says("hello")
	_, err := ai.Replies(ann, "hi")
	refused(err, 10, 2018300)
	refused(ai.Leaves(ann), 100, 0)
	if err := ai.Takes(ann); err != nil {
		t.Fatal(err)
	}
	w.pass(day)
	w.says("still there?") // its control has lapsed
	_, err = ai.Replies(ann, "hi")
	refused(err, 10, 2018300)
	if err := ai.Takes(ann); err != nil {
		t.Fatal(err)
	}
	w.SetDefaultApp("")
	w.pass(day)
	_, err = ai.Replies(ann, "too late")
	refused(err, 10, 2018278)
	for _, e := range w.Snapshot() {
		if e.Act != nil && e.Act.Who == "ai" && e.Act.What != "takes" {
			t.Errorf("the ledger has %+v, which did not happen", e.Act)
		}
	}
	if got := fmt.Sprint(dig(t, w.call("GET", "me/subscribed_apps", "").body, "data")); strings.Contains(got, string(messenger.BusinessAI)) {
		t.Errorf("subscribed apps = %s, want the AI not among them", got)
	}
}
