package simulator_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"usher/messenger/simulator"
)

func enforced(o *simulator.Options) { o.EnforceRate = true }

func TestCallsInADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced)
	get := func() (answer, map[string]any) {
		t.Helper()
		a := w.call("GET", "me", "")
		business, app := a.usage(t)
		if business["type"] != "messenger" || app["call_count"] == nil {
			t.Fatalf("usage = %v and %v", business, app)
		}
		return a, business
	}
	for i := range 200 { // 200 calls for each customer in a day, all but one an hour later
		if i == 1 {
			w.pass(time.Hour)
		}
		a, usage := get()
		a.wantOK(t)
		if got, want := usage["call_count"], float64((i+2)/2); got != want {
			t.Fatalf("call_count after %d calls = %v, want %v", i+1, got, want)
		}
	}
	w.pass(22 * time.Hour) // 23 h after the first
	a, usage := get()
	a.want(t, 400, 80006, 2446079)
	if usage["call_count"] != 101.0 || usage["estimated_time_to_regain_access"] != 120.0 {
		t.Errorf("usage = %v, want access back in 120 minutes: one call fewer is not enough", usage)
	}
	if _, err := w.Customer("2").Says("hello"); err != nil { // the second customer makes it 400
		t.Fatal(err)
	}
	a, usage = get()
	a.wantOK(t)
	if usage["call_count"] != 51.0 || usage["estimated_time_to_regain_access"] != 0.0 {
		t.Errorf("usage = %v, want 51 %% of 400, and no wait", usage)
	}
	w.pass(time.Hour) // the first is out of the window
	if _, usage = get(); usage["call_count"] != 51.0 {
		t.Errorf("usage = %v, want 202 of 400", usage)
	}
	w.pass(time.Hour) // and the others
	if _, usage = get(); usage["call_count"] != 1.0 {
		t.Errorf("usage = %v, want 4 of 400", usage)
	}
	// Another app has an allowance of its own.
	a, err := w.do(w.request("GET", "me?access_token="+w.OtherApp(desk).Token(), ""))
	if err != nil {
		t.Fatal(err)
	}
	if usage, _ := a.usage(t); usage["call_count"] != 1.0 {
		t.Errorf("another app's usage = %v, want 1 of 400", usage)
	}
}

// X-App-Usage is about an hour.
func TestCallsInAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	usage := func() any {
		_, app := w.call("GET", "me", "").usage(t)
		return app["call_count"]
	}
	for range 99 {
		usage()
	}
	if got := usage(); got != 50.0 {
		t.Errorf("100 of 200 calls are %v %%", got)
	}
	w.pass(time.Hour)
	if got := usage(); got != 1.0 {
		t.Errorf("1 of 200 calls is %v %%", got)
	}
}

func TestWithoutRatesNothingIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	for range 301 {
		w.send("x", "").wantOK(t)
	}
	for range 11 {
		w.call("GET", "me/messenger_profile?fields=greeting", "").wantOK(t)
	}
	if business, _ := w.call("GET", "me", "").usage(t); business["call_count"] != 157.0 || business["estimated_time_to_regain_access"] != 0.0 {
		t.Errorf("usage = %v, want 313 of 200, and no wait", business)
	}
}

// Each limit: so many calls, then one too many, until the window has moved on.
func TestLimits(t *testing.T) {
	t.Parallel()
	message := func(m string) string { return fmt.Sprintf(`{"recipient":{"id":%q},"message":%s}`, ann, m) }
	audio := func(kind string) string {
		return message(fmt.Sprintf(`{"attachment":{"type":%q,"payload":{"url":"https://a.b/c"}}}`, kind))
	}
	tests := map[string]struct {
		method, path, body string
		limit              int
		window             time.Duration
		code, subcode      int
	}{
		"texts":          {"POST", "me/messages", message(`{"text":"x"}`), 300, time.Second, 613, 0},
		"actions":        {"POST", "me/messages", fmt.Sprintf(`{"recipient":{"id":%q},"sender_action":"typing_on"}`, ann), 300, time.Second, 613, 0},
		"images":         {"POST", "me/messages", audio("image"), 300, time.Second, 613, 0},
		"audios":         {"POST", "me/messages", audio("audio"), 10, time.Second, 613, 0},
		"videos":         {"POST", "me/messages", audio("video"), 10, time.Second, 613, 0},
		"conversations":  {"GET", "me/conversations", "", 2, time.Second, 613, 0},
		"a_conversation": {"GET", "t_" + string(ann), "", 2, time.Second, 613, 0},
		"its_messages":   {"GET", "t_" + string(ann) + "/messages", "", 2, time.Second, 613, 0},
		"profile":        {"GET", "me/messenger_profile?fields=greeting", "", 10, 10 * time.Minute, 613, 0},
		"settings":       {"GET", "me/custom_user_settings?psid=" + string(ann), "", 10, 10 * time.Minute, 613, 0},
		"tagged": {
			"POST", "me/messages", fmt.Sprintf(`{"recipient":{"id":%q},"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"x"}}`, ann),
			3, 24 * time.Hour, 613, 2018338,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, enforced, doubt(func(d *simulator.Doubts) { d.TagLimit = 3 }))
			w.says("hello")
			w.Customer("2") // enough for 301 calls a day
			for range tt.limit {
				w.call(tt.method, tt.path, tt.body).wantOK(t)
			}
			w.pass(tt.window - time.Millisecond)
			w.call(tt.method, tt.path, tt.body).want(t, http.StatusBadRequest, tt.code, tt.subcode)
			w.pass(time.Millisecond)
			w.call(tt.method, tt.path, tt.body).wantOK(t)
		})
	}
}

// The settings of another customer, and tagged messages to her, are counted apart.
func TestLimitsOfOneCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, enforced, doubt(func(d *simulator.Doubts) { d.TagLimit = 1 }))
	w.says("hello")
	if _, err := w.Customer("2").Says("hello"); err != nil {
		t.Fatal(err)
	}
	for range 11 {
		w.call("GET", "me/custom_user_settings?psid="+string(ann), "")
	}
	w.call("GET", "me/custom_user_settings?psid="+string(ann), "").want(t, 400, 613, 0)
	w.call("GET", "me/custom_user_settings?psid=2", "").wantOK(t)
	w.send("x", `"tag":"HUMAN_AGENT"`).wantOK(t)
	w.send("x", `"tag":"HUMAN_AGENT"`).want(t, 400, 613, 2018338)
	w.send("x", "").wantOK(t) // without a tag
	w.call("POST", "me/messages", `{"recipient":{"id":"2"},"tag":"HUMAN_AGENT","message":{"text":"x"}}`).wantOK(t)
}
