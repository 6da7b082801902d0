package simulator_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

const welcome = `{"get_started":{"payload":"START"},
	"greeting":[{"locale":"default","text":"Hello {{user_first_name}} {{user_last_name}} = {{user_full_name}}"},{"locale":"de_DE","text":"Hallo"}],
	"persistent_menu":[{"locale":"default","call_to_actions":[
		{"type":"postback","title":"Back","payload":"BACK"},{"type":"web_url","title":"Site","url":"https://example.com"}]},
		{"locale":"de_DE","call_to_actions":[{"type":"postback","title":"Zurück","payload":"BACK"}]}]}`

// What stands on an empty thread goes with the first message; the menu stays.
func TestPhoneBeforeAndAfterTheFirstMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wantPhone(simulator.Phone{Lines: []simulator.Line{}})
	w.call("POST", "me/messenger_profile", welcome).wantOK(t)
	items := []simulator.Button{{Title: "Back", Payload: "BACK"}, {Title: "Site", URL: "https://example.com"}}
	w.wantPhone(simulator.Phone{Lines: []simulator.Line{}, Menu: items, GetStarted: true, Greeting: "Hello Ann Lee = Ann Lee"})
	w.Customer(ann).Speaks("de_DE")
	german := []simulator.Button{{Title: "Zurück", Payload: "BACK"}}
	w.wantPhone(simulator.Phone{Lines: []simulator.Line{}, Menu: german, GetStarted: true, Greeting: "Hallo"})
	w.Customer(ann).Speaks("fr_FR")
	if _, err := w.Customer(ann).Starts(); err != nil {
		t.Fatal(err)
	}
	got := w.Phone(ann)
	if len(got.Lines) != 1 || got.Lines[0].Text != "Get Started" {
		t.Errorf("lines = %v, want Get Started", got.Lines)
	}
	got.Lines = nil
	if diff := cmp.Diff(simulator.Phone{Menu: items}, got); diff != "" {
		t.Errorf("phone after the first message (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(simulator.Phone{Lines: []simulator.Line{}}, w.Phone("404")); diff != "" {
		t.Errorf("phone of nobody (-want +got):\n%s", diff)
	}
}

func (w *world) wantPhone(want simulator.Phone) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.Phone(ann)); diff != "" {
		w.t.Errorf("phone (-want +got):\n%s", diff)
	}
}

// Ice breakers win over Get Started, and are gone with the first message.
func TestIceBreakers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.Customer(ann)
	if _, err := ann.TapsIceBreaker("Open?"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("ice breaker before there is one = %v, want ErrNotThere", err)
	}
	w.call("POST", "me/messenger_profile", welcome).wantOK(t)
	w.call("POST", "me/messenger_profile", `{"ice_breakers":[{"call_to_actions":[{"question":"Open?","payload":"OPEN"}]},
		{"call_to_actions":[{"question":"Offen?","payload":"OFFEN"}],"locale":"de_DE"}]}`).wantOK(t)
	if got := w.Phone(ann.PSID()); got.GetStarted || !cmp.Equal(got.IceBreakers, []string{"Open?"}) {
		t.Errorf("phone shows Get Started %v and %q, want the ice breakers instead", got.GetStarted, got.IceBreakers)
	}
	if _, err := ann.Starts(); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("Get Started beside ice breakers = %v, want ErrNotThere", err)
	}
	if got := w.Phone(ann.Speaks("fr_FR").PSID()).IceBreakers; !cmp.Equal(got, []string{"Open?"}) {
		t.Errorf("ice breakers in French = %q, want those without a locale", got)
	}
	if _, err := ann.Speaks("de_DE").TapsIceBreaker("Open?"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("ice breaker of another locale = %v, want ErrNotThere", err)
	}
	if _, err := ann.TapsIceBreaker("Offen?"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging postback "Offen?" OFFEN`)
	if got := w.Phone(ann.PSID()).IceBreakers; got != nil {
		t.Errorf("ice breakers = %q after the first message", got)
	}
	if _, err := ann.TapsIceBreaker("Offen?"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("ice breaker after the first message = %v, want ErrNotThere", err)
	}
}

// Commands stand in the place of the menu.
func TestCommandsOverrideTheMenu(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.call("POST", "me/messenger_profile", welcome).wantOK(t)
	w.call("POST", "me/messenger_profile", `{"commands":[{"locale":"default","commands":[{"name":"help","description":"Help"}]}]}`).wantOK(t)
	if got := w.Phone(ann).Menu; got != nil {
		t.Errorf("menu beside commands = %v, want none", got)
	}
	if _, err := w.Customer(ann).TapsMenu("Back"); !errors.Is(err, simulator.ErrNotThere) {
		t.Errorf("tap the menu beside commands = %v, want ErrNotThere", err)
	}
}

// The Page types for 20 s, or until it says something or stops.
func TestTyping(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	typing := func(want bool) {
		t.Helper()
		if got := w.Phone(ann).Typing; got != want {
			t.Errorf("typing = %v, want %v", got, want)
		}
	}
	typing(false)
	for name, end := range map[string]func(){
		"time":    func() { w.pass(20 * time.Second) },
		"message": func() { w.send("hi", "").wantOK(t) },
		"off":     func() { w.post("messages", `"sender_action":"typing_off"`).wantOK(t) },
		"an_agent": func() {
			agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Replies(ann, "Tom") })
		},
	} {
		w.post("messages", `"sender_action":"typing_on"`).wantOK(t)
		w.pass(20*time.Second - time.Millisecond)
		w.says("well?") // her own words do not end it
		typing(true)
		w.pass(-20*time.Second + time.Millisecond)
		end()
		typing(false)
		if t.Failed() {
			t.Fatalf("ended by %s", name)
		}
		if owner, _ := w.Owner(ann); owner == messenger.PageInbox {
			w.post("messages", `"sender_action":"typing_on"`).want(t, 400, 10, 2018300)
			typing(false)
			w.post("take_thread_control", "").wantOK(t)
		}
	}
}

func agent(t *testing.T, w *world, act func(*simulator.Agent) (messenger.MessageID, error)) messenger.MessageID {
	t.Helper()
	mid, err := act(w.Agent())
	if err != nil {
		t.Fatal(err)
	}
	return mid
}

func TestPageReactsAndSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.says("one"), w.says("two")
	w.send("hi", "").wantOK(t)
	act := func(action, payload string) answer {
		return w.post("messages", fmt.Sprintf(`"sender_action":%q,"payload":%s`, action, payload))
	}
	on := func(mid messenger.MessageID) string { return fmt.Sprintf(`{"message_id":%q,"reaction":"love"}`, mid) }
	state := func() (states []string) {
		for _, l := range w.Transcript(ann) {
			states = append(states, fmt.Sprint(l.Text, l.Reaction, l.Seen))
		}
		return states
	}
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, state()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	}
	act("react", on(first)).wantOK(t)
	want("onelovefalse", "twofalse", "hifalse")
	act("react", on(w.Transcript(ann)[2].MID)).want(t, 400, 100, 0)
	act("react", on("m_404")).want(t, 400, 100, 0)
	act("react", fmt.Sprintf(`{"message_id":%q}`, second)).want(t, 400, 100, 0)
	act("react", `7`).want(t, 400, 100, 0)
	act("unreact", on(first)).wantOK(t)
	want("onefalse", "twofalse", "hifalse")
	w.post("messages", `"sender_action":"mark_seen"`).wantOK(t)
	want("onetrue", "twotrue", "hifalse")
	if err := w.Customer(ann).Reads(); err != nil {
		t.Fatal(err)
	}
	w.says("three")
	want("onetrue", "twotrue", "hitrue", "threefalse")
}

// A thread keeps its newest lines.
func TestThreadLines(t *testing.T) {
	t.Parallel()
	const keep = 20
	w := newWorld(t, func(o *simulator.Options) { o.ThreadLines = keep })
	for i := range 5 * keep {
		w.says(strconv.Itoa(i))
		lines := w.Transcript(ann)
		if n := len(lines); n > keep || n < min(i+1, keep*3/4) || lines[n-1].Text != strconv.Itoa(i) {
			t.Fatalf("after %d messages: %d lines, the last is %q", i+1, n, lines[n-1].Text)
		}
		for j, l := range lines {
			if want := strconv.Itoa(i + 1 - len(lines) + j); l.Text != want {
				t.Fatalf("line %d of %d is %q, want %q", j, len(lines), l.Text, want)
			}
		}
	}
	if _, err := simulator.New(simulator.Options{App: bot, AppSecret: "s", Page: page, PageToken: "t", ThreadLines: -1}); err == nil {
		t.Error("-1 lines a thread are accepted")
	}
}

// Of the uploads, the newest can be sent.
func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	upload := func() string {
		a := w.call("POST", "me/message_attachments",
			`{"message":{"attachment":{"type":"image","payload":{"url":"https://example.com/a.png","is_reusable":true}}}}`)
		a.wantOK(t)
		return fmt.Sprint(a.body["attachment_id"])
	}
	send := func(id string) answer {
		return w.post("messages", `"message":{"attachment":{"type":"image","payload":{"attachment_id":"`+id+`"}}}`)
	}
	first, second := upload(), upload()
	for range 9_999 {
		upload()
	}
	send(first).want(t, 400, 100, 2018074)
	send(second).wantOK(t)
	if got := w.Transcript(ann)[1].URL; !strings.Contains(got, second) {
		t.Errorf("sent %q, want attachment %s", got, second)
	}
}
