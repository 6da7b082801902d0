package simulator_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

const day = 24 * time.Hour

func toInbox(w *world) {
	w.t.Helper()
	w.post("pass_thread_control", `"target_app_id":"263902037430900"`).wantOK(w.t)
	w.told()
}

// wantRefused checks the error of a person's or another app's act.
func wantRefused(t *testing.T, err error, code, subcode int) {
	t.Helper()
	var refused *simulator.GraphError
	if !errors.As(err, &refused) || refused.Code != code || refused.Subcode != subcode {
		t.Errorf("error = %v, want code %d/%d", err, code, subcode)
	}
}

func TestOnlyTheDefaultAppSendsWhileIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.wantOwner("")
	w.send("hi", "").wantOK(t)
	_, err := w.OtherApp(desk).Send(ann, "me too")
	wantRefused(t, err, 10, 2018300)
	w.wantOwner("") // sending does not take
}

func TestIdleThreadIsHeardOnStandbyByAnAppThatIsNotTheDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, deskIsDefault)
	w.says("hello")
	w.wantTold(`standby message "hello"`)
	a := w.send("hi", "")
	a.want(t, http.StatusBadRequest, 10, 2018300)
	if _, _, text := a.refused(); text != "(#10) Message failed to send because another app is controlling this thread now." {
		t.Errorf("message = %q", text)
	}
}

func TestNonOwnerSendIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	toInbox(w)
	w.send("hi", "").want(t, http.StatusBadRequest, 10, 2018300)
	w.post("messages", `"sender_action":"typing_on"`).want(t, http.StatusBadRequest, 10, 2018300)
	w.says("anyone?")
	w.told()
	if n := len(w.Transcript(ann)); n != 2 {
		t.Errorf("transcript has %d lines, want 2: what is refused is not shown", n)
	}
}

func TestHumanAgentSendTakesControlWhereAllowed(t *testing.T) {
	t.Parallel()
	tagged := `"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"a person here"}`
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.says("hello")
		toInbox(w)
		w.post("messages", tagged).wantOK(t)
		w.wantOwner(bot)
		toInbox(w)
		w.post("messages", tagged+`,"thread_control":{"control_type":"pass","app_id":"1"}`).want(t, 400, 100, 2018164)
		w.wantOwner(messenger.PageInbox) // refused as a whole
		w.OtherApp(desk)
		w.post("messages", tagged+`,"thread_control":{"control_type":"pass","app_id":"2262510160704936"}`).wantOK(t)
		w.wantOwner(desk)
	})
	t.Run("forbidden", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(o *simulator.Options) { o.TakeForbidden = true })
		w.says("hello")
		toInbox(w)
		w.post("messages", tagged).want(t, http.StatusBadRequest, 10, 2018300)
		w.wantOwner(messenger.PageInbox)
	})
}

func TestTake(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit     func(*simulator.Options)
		owned    bool // by the inbox
		twice    bool
		want     int // the code
		wantText string
	}{
		"from_idle":              {},
		"from_the_inbox":         {owned: true},
		"needs_a_default_app":    {edit: zeroConfig, want: 27, wantText: "(#27) not supported when Conversation Routing is not enabled"},
		"needs_the_toggle":       {edit: func(o *simulator.Options) { o.TakeForbidden = true }, want: 27},
		"toggle_of_default_app":  {edit: func(o *simulator.Options) { o.TakeForbidden, o.Doubts.DefaultTakesFreely = true, true }},
		"code_of_refusal":        {edit: func(o *simulator.Options) { o.TakeForbidden, o.Doubts.TakeRefusal = true, 200 }, want: 200},
		"when_already_owner":     {twice: true, want: 100},
		"when_owner_may_succeed": {twice: true, edit: doubt(func(d *simulator.Doubts) { d.RetakeSucceeds = true })},
		"by_one_not_the_default": {edit: deskIsDefault, owned: false},
		"freely_is_default_alone": {edit: func(o *simulator.Options) {
			o.DefaultApp, o.TakeForbidden, o.Doubts.DefaultTakesFreely = desk, true, true
		}, want: 27},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.edit == nil {
				tt.edit = func(*simulator.Options) {}
			}
			w := newWorld(t, tt.edit)
			w.says("hello")
			if tt.owned {
				toInbox(w)
			}
			a := w.post("take_thread_control", `"metadata":"why"`)
			if tt.twice {
				a.wantOK(t)
				a = w.post("take_thread_control", "")
			}
			if tt.want == 0 {
				a.wantOK(t)
				w.wantOwner(bot)
				return
			}
			a.want(t, http.StatusBadRequest, tt.want, 0)
			if _, _, text := a.refused(); tt.wantText != "" && text != tt.wantText {
				t.Errorf("message = %q, want %q", text, tt.wantText)
			}
		})
	}
}

func TestTakeTellsThePreviousOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AllowTake(desk, true)
	w.says("hello")
	w.told()
	if err := w.OtherApp(desk).Take(ann, "from idle"); err != nil {
		t.Fatal(err)
	}
	w.wantTold() // taken from idle: no webhook
	w.post("take_thread_control", "").wantOK(t)
	w.wantTold() // the taker is not told
	if err := w.OtherApp(desk).Take(ann, "mine"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging take bot to desk "mine"`)
}

func TestRetakeRenewsAndTellsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.RetakeSucceeds = true }))
	w.says("hello")
	w.post("take_thread_control", "").wantOK(t)
	w.told()
	w.pass(23 * time.Hour)
	w.post("take_thread_control", "").wantOK(t)
	w.wantTold()
	w.pass(23 * time.Hour)
	w.wantOwner(bot)
}

func TestActionsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.ActionsFree = true }))
	w.says("hello")
	toInbox(w)
	w.post("messages", `"sender_action":"typing_on"`).wantOK(t)
}

func TestControlMetadataIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("take_thread_control", `"metadata":"`+strings.Repeat("ü", 1001)+`"`).want(t, 400, 100, 0)
	w.post("take_thread_control", `"metadata":"`+strings.Repeat("ü", 1000)+`"`).wantOK(t)
}

func TestTakeTellsAllIfSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.TakeTold = simulator.TakeToldAll }))
	w.says("hello")
	w.told()
	if err := w.Agent().MovesToMain(ann); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging take nobody to inbox ""`)
}

func TestPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.told()
	other := w.OtherApp(desk)

	if err := other.Pass(ann, bot, "anyone may while idle"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging pass nobody to bot "anyone may while idle"`)
	wantRefused(t, other.Pass(ann, desk, "not the owner"), 100, 0)
	w.post("pass_thread_control", `"target_app_id":`+string(bot)).want(t, 400, 100, 0)  // to itself
	w.post("pass_thread_control", `"target_app_id":"12345"`).want(t, 400, 100, 2018164) // nobody's
	w.post("pass_thread_control", "").want(t, 400, 100, 0)                              // the default app is itself
	w.wantOwner(bot)
	w.post("pass_thread_control", `"target_app_id":2262510160704936,"metadata":"{\"a\":1}"`).wantOK(t)
	w.wantOwner(desk)
	w.wantTold() // the new owner is told, and that is another
	if err := other.Pass(ann, "", "back"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(bot)
	w.wantTold(`messaging pass desk to bot "back"`)
}

func TestPassByNonOwnerIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	toInbox(w)
	a := w.post("pass_thread_control", `"target_app_id":"1517776481860111"`)
	a.want(t, 400, 100, 0)
	if _, _, text := a.refused(); text != "(#100) calling app is not the thread owner" {
		t.Errorf("message = %q", text)
	}
	w.wantOwner(messenger.PageInbox)
}

func TestReleaseIsTheOwnersAndSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("release_thread_control", "").want(t, 400, 100, 0) // idle is nobody's
	w.post("take_thread_control", "").wantOK(t)
	wantRefused(t, w.OtherApp(desk).Release(ann), 100, 0)
	w.told()
	w.post("release_thread_control", "").wantOK(t)
	w.wantOwner("")
	w.wantTold()
}

func TestExtend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("extend_thread_control", `"duration":3600`).want(t, 400, 100, 0) // not the owner
	w.post("take_thread_control", "").wantOK(t)
	for _, bad := range []string{"0", "-1", "604801", `"soon"`, "99999999999999999999"} {
		w.post("extend_thread_control", `"duration":`+bad).want(t, 400, 100, 0)
	}
	w.post("extend_thread_control", `"duration":604800`).wantOK(t)
	w.says("still there?") // activity does not shorten it
	w.pass(7*day - time.Millisecond)
	w.wantOwner(bot)
	w.pass(time.Millisecond)
	w.wantOwner("")
}

func TestControlLapses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(*simulator.Options)
		act  func(*world) // after 23 h
		want messenger.AppID
	}{
		"after_24h_without_activity": {act: func(*world) {}, want: ""},
		"customer_renews":            {act: func(w *world) { w.says("me again") }, want: bot},
		"owner_renews":               {act: func(w *world) { w.send("still here", "").wantOK(w.t) }, want: bot},
		"owner_may_not_renew": {
			edit: doubt(func(d *simulator.Doubts) { d.OnlyCustomersRenew = true }),
			act:  func(w *world) { w.send("still here", "").wantOK(w.t) }, want: "",
		},
		"reading_is_no_activity": {act: func(w *world) { _ = w.Customer(ann).Reads() }, want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.edit == nil {
				tt.edit = func(*simulator.Options) {}
			}
			w := newWorld(t, tt.edit)
			w.says("hello")
			w.post("take_thread_control", "").wantOK(t)
			w.pass(23 * time.Hour)
			tt.act(w)
			w.pass(time.Hour - time.Millisecond)
			w.wantOwner(bot)
			w.told()
			w.pass(time.Millisecond)
			w.wantOwner(tt.want)
			w.wantTold() // nobody is told that it lapsed
		})
	}
}

func TestRequestIsForZeroConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.post("request_thread_control", "").want(t, 400, 100, 0)

	w = newWorld(t, zeroConfig)
	w.says("hello")
	w.told()
	w.post("request_thread_control", `"metadata":"me"`).wantOK(t) // idle: granted
	w.wantOwner(bot)
	w.wantTold(`messaging pass nobody to bot "me"`)
	w.post("request_thread_control", "").want(t, 400, 100, 0) // it is the owner
	if err := w.OtherApp(desk).Request(ann, "please"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(bot)
	w.wantTold(`messaging request by desk "please"`)
}

func TestThreadOwnerTellsWhomItConcerns(t *testing.T) {
	t.Parallel()
	ask := func(w *world) (data []any) {
		a := w.call(http.MethodGet, "me/thread_owner?recipient="+string(ann), "")
		a.wantOK(w.t)
		data, ok := a.body["data"].([]any)
		if !ok {
			w.t.Fatalf("answer = %v, want data", a.body)
		}
		return data
	}
	w := newWorld(t, func(o *simulator.Options) { o.AppIDs = simulator.AppIDsStrings })
	w.says("hello")
	if data := ask(w); len(data) != 0 {
		t.Errorf("idle: data = %v, want none", data)
	}
	toInbox(w)
	want := map[string]any{"app_id": string(messenger.PageInbox), "expiration": float64(w.clock().Add(day).Unix())}
	if diff := cmp.Diff(want, dig(t, ask(w), 0, "thread_owner")); diff != "" {
		t.Errorf("default app sees (-want +got):\n%s", diff)
	}
	w.SetDefaultApp(desk)
	delete(want, "app_id")
	if diff := cmp.Diff(want, dig(t, ask(w), 0, "thread_owner")); diff != "" {
		t.Errorf("another app sees (-want +got):\n%s", diff)
	}
	w.post("take_thread_control", "").wantOK(t)
	if got := dig(t, ask(w), 0, "thread_owner", "app_id"); got != string(bot) {
		t.Errorf("owner sees %v, want itself", got)
	}
}

func TestInlineControlIsAppliedAfterTheMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("a person please")
	w.told()
	w.send("one moment", `"thread_control":{"control_type":"pass","app_id":"263902037430900"}`).wantOK(t)
	w.wantOwner(messenger.PageInbox)
	w.wantTold(`messaging echo of bot "one moment"`) // still ours when it was sent
	w.send("hello?", "").want(t, 400, 10, 2018300)

	calls := w.Calls(simulator.EdgeMessages)
	if got, want := calls[0].Control, "pass 263902037430900"; got != want {
		t.Errorf("ledger has control %q, want %q", got, want)
	}
}

func TestInlineControl(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit      func(*simulator.Options)
		take      bool
		control   string
		want      int // the code
		wantOwner messenger.AppID
	}{
		"pass":                       {control: `{"control_type":"pass","app_id":"2262510160704936"}`, wantOwner: desk},
		"pass_number":                {control: `{"control_type":"pass","app_id":2262510160704936}`, wantOwner: desk},
		"missing_app_is_the_default": {edit: deskIsDefault, take: true, control: `{"control_type":"pass"}`, wantOwner: desk},
		"missing_type_releases":      {take: true, control: `{}`, wantOwner: ""},
		"release":                    {take: true, control: `{"control_type":"release"}`, wantOwner: ""},
		"unknown_app":                {take: true, control: `{"control_type":"pass","app_id":"1"}`, want: 100, wantOwner: bot},
		"unknown_type":               {take: true, control: `{"control_type":"steal"}`, want: 100, wantOwner: bot},
		"to_itself":                  {take: true, control: `{"control_type":"pass","app_id":"1517776481860111"}`, want: 100, wantOwner: bot},
		"not_in_zero_config":         {edit: zeroConfig, control: `{"control_type":"pass","app_id":"2262510160704936"}`, want: 100, wantOwner: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *simulator.Options) { o.Others = []messenger.AppID{desk} })
			if tt.edit != nil {
				w = newWorld(t, func(o *simulator.Options) { o.Others = []messenger.AppID{desk} }, tt.edit)
			}
			w.says("hello")
			if tt.take {
				w.post("take_thread_control", "").wantOK(t)
			}
			a := w.send("bye", `"thread_control":`+tt.control)
			w.wantOwner(tt.wantOwner)
			lines := w.Transcript(ann)
			if said := lines[len(lines)-1].Text == "bye"; said != (tt.want == 0) {
				t.Errorf("said = %v with code %d wanted: a refused control must refuse the whole send", said, tt.want)
			}
			if tt.want == 0 {
				a.wantOK(t)
				return
			}
			code, _, text := a.refused()
			if code != tt.want {
				t.Errorf("code = %d (%s), want %d", code, text, tt.want)
			}
		})
	}
}

func TestMessagingWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send("psst", "").want(t, 400, 10, 2018278) // she never wrote
	w.says("hello")
	w.pass(day - time.Millisecond)
	w.send("still open", "").wantOK(t)
	w.pass(time.Millisecond)
	w.send("closed", "").want(t, 400, 10, 2018278)
	human := `"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"sorry for the delay"}`
	w.post("messages", human).wantOK(t)
	if err := w.Customer(ann).Reacts("like"); err != nil {
		t.Fatal(err)
	}
	w.send("a reaction opens it", "").wantOK(t)
	w.post("messages", buttons).wantOK(t)
	w.pass(day)
	if _, err := w.Customer(ann).TapsButton("Back to bot"); err != nil {
		t.Fatal(err)
	}
	w.send("so does a tap", "").wantOK(t)
	w.pass(7 * day)
	w.post("messages", human).want(t, 400, 10, 2018278)
	for _, dead := range []string{"ACCOUNT_UPDATE", "CONFIRMED_EVENT_UPDATE", "POST_PURCHASE_UPDATE", "CUSTOMER_FEEDBACK"} {
		w.post("messages", `"messaging_type":"MESSAGE_TAG","tag":"`+dead+`","message":{"text":"x"}`).want(t, 400, 100, 0)
	}
}

func TestZeroConfigLetsEverybodyHearAndAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, zeroConfig)
	w.says("hello")
	w.wantTold(`messaging message "hello"`)
	if _, err := w.OtherApp(desk).Send(ann, "one"); err != nil {
		t.Fatal(err)
	}
	w.send("two", "").wantOK(t)
	w.wantTold(`messaging echo of desk "one"`, `messaging echo of bot "two"`)
	if _, err := w.Agent().Replies(ann, "me too"); err != nil {
		t.Fatal(err)
	}
	w.wantOwner("") // there is no control to take
	w.told()
	toInbox(w)
	w.says("and now?")
	w.wantTold(`messaging message "and now?"`)
	w.send("three", "").wantOK(t)
	if _, err := w.Agent().Replies(ann, "four"); err != nil {
		t.Fatal(err)
	}
	w.wantTold(`messaging echo of bot "three"`, `messaging echo of inbox "four"`)
	a := w.post("release_thread_control", "")
	a.want(t, 400, 100, 0)
	if _, _, text := a.refused(); !strings.Contains(text, "Only the current thread owner can release") {
		t.Errorf("message = %q", text)
	}
}

func TestIdleOwner(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		doubt               simulator.IdleOwner
		wantHeard, wantSent messenger.AppID
	}{
		"stays_idle":       {doubt: simulator.IdleStays},
		"customer_decides": {doubt: simulator.IdleToDefault, wantHeard: bot, wantSent: bot},
		"sending_decides":  {doubt: simulator.IdleToDefaultSend, wantSent: bot},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, doubt(func(d *simulator.Doubts) { d.IdleOwner = tt.doubt }))
			w.says("hello")
			w.wantOwner(tt.wantHeard)
			w.send("hi", "").wantOK(t)
			w.wantOwner(tt.wantSent)
		})
	}
}
