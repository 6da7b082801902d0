package simulator_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := simulator.New(simulator.Options{App: "x", ZeroConfig: true, DefaultApp: "1", Batch: 1001, Webhook: http.NotFoundHandler(), WebhookURL: "http://x"})
	if err == nil {
		t.Fatal("New succeeded, want all faults")
	}
	for _, want := range []string{"AppSecret", "Page is", "PageToken", `app "x"`, "default app", "batch of 1001", "exclude"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %q", err, want)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	get := func(path, bearer string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://graph.example/v26.0/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		a, err := w.do(req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	get("me", "").want(t, 400, 104, 0)
	get("me", "wrong").want(t, 401, 190, 0)
	get("me", token).wantOK(t)
	get("me?access_token="+token, "").wantOK(t)
	get("999/thread_owner?recipient=1", token).want(t, 400, 100, 33) // another Page
	get("me/nothing", token).want(t, 400, 100, 0)
	get("me/nothing/at/all", token).want(t, 400, 2500, 0)
	w.call("POST", "me/nothing", "{}").want(t, 400, 100, 33)
	if a := get("me/thread_owner?recipient="+string(ann), w.OtherApp(desk).Token()); a.status != 200 {
		t.Errorf("another app's token: %d", a.status)
	}
	if calls := w.Calls(); calls[len(calls)-1].App != desk {
		t.Errorf("ledger has %+v, want the app whose token it was", calls[len(calls)-1])
	}
}

func proofOf(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestProof(t *testing.T) {
	t.Parallel()
	good := proofOf("app-secret", token)
	tests := map[string]struct {
		check bool
		proof string
		want  int
	}{
		"missing_but_not_wanted": {},
		"missing":                {check: true, want: 100},
		"good":                   {check: true, proof: good},
		"wrong_always_refused":   {proof: strings.Repeat("0", 64), want: 100},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *simulator.Options) { o.CheckProof = tt.check })
			query, body := "", `{"get_started":{"payload":"S"}}`
			if tt.proof != "" {
				query, body = "?appsecret_proof="+tt.proof, `{"get_started":{"payload":"S"},"appsecret_proof":"`+tt.proof+`"}`
			}
			for _, a := range []answer{w.call("GET", "me"+query, ""), w.call("POST", "me/messenger_profile", body)} {
				if code, _, _ := a.refused(); code != tt.want {
					t.Errorf("code = %d, want %d", code, tt.want)
				}
			}
		})
	}
}

func TestErrorsAreShapedAsMetas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.post("messages", `"message":{}`)
	e, _ := a.body["error"].(map[string]any)
	if e["type"] != "OAuthException" || e["fbtrace_id"] == "" || e["fbtrace_id"] == nil || !strings.HasPrefix(fmt.Sprint(e["message"]), "(#100)") {
		t.Errorf("error = %v", e)
	}
	if _, ok := e["error_subcode"]; ok {
		t.Errorf("error = %v, want no subcode where there is none", e)
	}
	if _, ok := e["is_transient"]; ok {
		t.Errorf("error = %v, want it not to be transient", e)
	}
	w.FailNext("", simulator.Failure{Code: 2})
	if got := dig(t, w.call("GET", "me", "").body, "error", "is_transient"); got != true {
		t.Errorf("is_transient = %v for code 2, want true", got)
	}
}

func TestSendLimits(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("ü", n) } // characters, not bytes
	repeat := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	reply := `{"content_type":"text","title":"T","payload":"P"}`
	button := func(title, payload string) string {
		return fmt.Sprintf(`{"type":"postback","title":%q,"payload":%q}`, title, payload)
	}
	buttonTemplate := func(text, buttons string) string {
		return fmt.Sprintf(`{"attachment":{"type":"template","payload":{"template_type":"button","text":%q,"buttons":[%s]}}}`, text, buttons)
	}
	generic := func(elements string) string {
		return fmt.Sprintf(`{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[%s]}}}`, elements)
	}
	media := func(kind, payload string) string {
		return fmt.Sprintf(`{"attachment":{"type":%q,"payload":%s}}`, kind, payload)
	}
	tests := map[string]struct {
		message string
		want    int // the subcode; -1 is accepted
	}{
		"text":                        {`{"text":"` + text(2000) + `"}`, -1},
		"text_too_long":               {`{"text":"` + text(2001) + `"}`, 0},
		"nothing":                     {`{"metadata":"x"}`, 0},
		"text_and_attachment":         {`{"text":"x","attachment":{"type":"image","payload":{"url":"https://a.b/c"}}}`, 0},
		"metadata":                    {`{"text":"x","metadata":"` + text(1000) + `"}`, -1},
		"metadata_too_long":           {`{"text":"x","metadata":"` + text(1001) + `"}`, 0},
		"quick_replies":               {`{"text":"x","quick_replies":[` + repeat(13, reply) + `]}`, -1},
		"quick_replies_too_many":      {`{"text":"x","quick_replies":[` + repeat(14, reply) + `]}`, 0},
		"quick_reply_without_title":   {`{"text":"x","quick_replies":[{"content_type":"text","payload":"P"}]}`, 0},
		"quick_reply_without_type":    {`{"text":"x","quick_replies":[{"title":"T","payload":"P"}]}`, 0},
		"quick_reply_image_only":      {`{"text":"x","quick_replies":[{"content_type":"text","payload":"P","image_url":"https://a.b/c"}]}`, -1},
		"quick_reply_email":           {`{"text":"x","quick_replies":[{"content_type":"user_email"}]}`, -1},
		"quick_reply_payload":         {`{"text":"x","quick_replies":[{"content_type":"text","title":"T","payload":"` + text(1001) + `"}]}`, 0},
		"buttons":                     {buttonTemplate(text(640), repeat(3, button(text(20), text(1000)))), -1},
		"buttons_none":                {buttonTemplate("x", ""), 0},
		"buttons_too_many":            {buttonTemplate("x", repeat(4, button("T", "P"))), 0},
		"button_text_too_long":        {buttonTemplate(text(641), button("T", "P")), 0},
		"button_text_missing":         {buttonTemplate("", button("T", "P")), 0},
		"button_title_too_long":       {buttonTemplate("x", button(text(21), "P")), 0},
		"button_title_missing":        {buttonTemplate("x", button("", "P")), 0},
		"button_payload_too_long":     {buttonTemplate("x", button("T", text(1001))), 0},
		"button_payload_missing":      {buttonTemplate("x", button("T", "")), 0},
		"button_url_missing":          {buttonTemplate("x", `{"type":"web_url","title":"T"}`), 2018008},
		"button_type_unknown":         {buttonTemplate("x", `{"type":"beam","title":"T"}`), 0},
		"cards":                       {generic(repeat(10, `{"title":"`+text(80)+`","subtitle":"`+text(80)+`"}`)), -1},
		"cards_none":                  {generic(""), 0},
		"cards_too_many":              {generic(repeat(11, `{"title":"T","subtitle":"S"}`)), 0},
		"card_title_alone":            {generic(`{"title":"T"}`), 0},
		"card_title_missing":          {generic(`{"subtitle":"S"}`), 0},
		"card_title_too_long":         {generic(`{"title":"` + text(81) + `","subtitle":"S"}`), 0},
		"card_subtitle_too_long":      {generic(`{"title":"T","subtitle":"` + text(81) + `"}`), 0},
		"card_buttons_too_many":       {generic(`{"title":"T","buttons":[` + repeat(4, button("T", "P")) + `]}`), 0},
		"template_unknown":            {`{"attachment":{"type":"template","payload":{"template_type":"hologram"}}}`, 0},
		"media":                       {media("image", `{"url":"https://a.b/c.png"}`), -1},
		"media_without_address":       {media("image", `{}`), 2018008},
		"media_unknown_type":          {media("smell", `{"url":"https://a.b/c"}`), 0},
		"media_unknown_attachment":    {media("image", `{"attachment_id":"1"}`), 2018074},
		"attachment_is_not_an_object": {`{"attachment":7}`, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.says("hello")
			a := w.post("messages", `"message":`+tt.message)
			said := len(w.Transcript(ann)) == 2
			if want := tt.want == -1; said != want {
				t.Errorf("said = %v, want %v", said, want)
			}
			if tt.want == -1 {
				a.wantOK(t)
				return
			}
			a.want(t, http.StatusBadRequest, 100, tt.want)
		})
	}
}

func TestSendParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want int // the subcode; -1 is accepted
	}{
		"response":             {`"messaging_type":"RESPONSE","notification_type":"NO_PUSH","message":{"text":"x"}`, -1},
		"unknown_type":         {`"messaging_type":"SHOUT","message":{"text":"x"}`, 0},
		"unknown_notification": {`"notification_type":"SIREN","message":{"text":"x"}`, 0},
		"tag_without_one":      {`"messaging_type":"MESSAGE_TAG","message":{"text":"x"}`, 0},
		"message_and_action":   {`"sender_action":"typing_on","message":{"text":"x"}`, 2018014},
		"action":               {`"sender_action":"mark_seen"`, -1},
		"unknown_action":       {`"sender_action":"wave"`, 0},
		"reply_to_nothing":     {`"reply_to":{"mid":"m_?"},"message":{"text":"x"}`, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.says("hello")
			a := w.post("messages", tt.body)
			if tt.want == -1 {
				a.wantOK(t)
				return
			}
			a.want(t, http.StatusBadRequest, 100, tt.want)
		})
	}
	w := newWorld(t)
	w.call("POST", "me/messages", `{"recipient":{"id":"404"},"message":{"text":"x"}}`).want(t, 400, 100, 2018001)
	w.call("POST", "me/messages", `{"message":{"text":"x"}}`).want(t, 400, 100, 0)
	w.call("POST", "me/messages", `[]`).want(t, 400, 100, 0)
}

func TestSendAnswersAndEchoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hers := w.says("hello")
	w.told()
	a := w.send("hi", fmt.Sprintf(`"reply_to":{"mid":%q}`, hers))
	a.wantOK(t)
	w.told()
	var body struct {
		Object string
		Entry  []struct {
			ID        messenger.PageID
			Time      int64
			Messaging []struct {
				Sender, Recipient struct{ ID string }
				Timestamp         int64
				Message           struct {
					IsEcho  bool            `json:"is_echo"`
					AppID   messenger.AppID `json:"app_id"`
					MID     string
					Text    string
					ReplyTo struct{ MID messenger.MessageID } `json:"reply_to"`
				}
			}
		}
	}
	if err := json.Unmarshal(w.ear.last(), &body); err != nil {
		t.Fatal(err)
	}
	e := body.Entry[0].Messaging[0]
	if body.Object != "page" || body.Entry[0].ID != page || body.Entry[0].Time != w.clock().UnixMilli() {
		t.Errorf("envelope = %+v", body)
	}
	if e.Sender.ID != string(page) || e.Recipient.ID != string(ann) || e.Timestamp != w.clock().UnixMilli() || !e.Message.IsEcho {
		t.Errorf("echo = %+v, want sender and recipient swapped", e)
	}
	if e.Message.MID != a.body["message_id"] || a.body["recipient_id"] != string(ann) || e.Message.AppID != bot || e.Message.ReplyTo.MID != hers {
		t.Errorf("echo = %+v of answer %v", e, a.body)
	}
}

func TestFormBodiesAndSamplesOfMeta(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	form := url.Values{
		"recipient": {`{"id":"` + string(ann) + `"}`}, "message": {`{"text":"as a form"}`}, "access_token": {token},
		"thread_control": {`{"control_type":"pass","app_id":"263902037430900"}`},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://graph.example/me/messages", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := w.do(req)
	if err != nil {
		t.Fatal(err)
	}
	a.wantOK(t)
	w.wantOwner(messenger.PageInbox)

	query := url.Values{"recipient": {"{id:" + string(ann) + "}"}, "metadata": {"sample"}, "access_token": {token}}
	w.call("POST", string(page)+"/take_thread_control?"+query.Encode(), "").wantOK(t)
	calls := w.Calls(simulator.EdgeTake)
	if calls[0].PSID != ann || calls[0].Metadata != "sample" {
		t.Errorf("call = %+v, want Ann's with its metadata", calls[0])
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	id := func(a answer) string {
		t.Helper()
		a.wantOK(t)
		s, _ := a.body["attachment_id"].(string)
		if s == "" {
			t.Fatalf("answer = %v, want an attachment_id", a.body)
		}
		return s
	}
	byURL := id(w.call("POST", "me/message_attachments", `{"message":{"attachment":{"type":"image","payload":{"url":"https://a.b/c.png","is_reusable":true}}}}`))
	w.call("POST", "me/message_attachments", `{"message":{"attachment":{"type":"image","payload":{}}}}`).want(t, 400, 100, 2018008)

	var file bytes.Buffer
	form := multipart.NewWriter(&file)
	part, err := form.CreateFormFile("filedata", "c.png")
	if err == nil {
		_, err = io.WriteString(part, "picture")
	}
	if err := errors.Join(err, form.WriteField("message", `{"attachment":{"type":"image","payload":{}}}`), form.Close()); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://graph.example/me/message_attachments?access_token="+token, &file)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	uploaded, err := w.do(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, attachment := range []string{byURL, id(uploaded)} {
		w.post("messages", `"message":{"attachment":{"type":"image","payload":{"attachment_id":"`+attachment+`"}}}`).wantOK(t)
	}
	w.post("messages", `"message":{"attachment":{"type":"video","payload":{"attachment_id":"`+byURL+`"}}}`).want(t, 400, 100, 2018074)
	for _, message := range []string{
		`"message":{"attachment":{"type":"file","payload":{"url":"https://a.b/c.pdf"}}}`,
		template("coupon", `"title":"T","coupon_code":"TEN","is_reusable":true`),
	} {
		if a := w.post("messages", message); a.body["attachment_id"] != nil {
			t.Errorf("%s is answered %v, want no attachment_id", message, a.body)
		}
	}
	again := id(w.post("messages", `"message":{"attachment":{"type":"file","payload":{"url":"https://a.b/c.pdf","is_reusable":true}}}`))
	w.post("messages", `"message":{"attachment":{"type":"file","payload":{"attachment_id":`+again+`}}}`).wantOK(t) // as a number
}

func TestMessengerProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	menu := `"persistent_menu":[{"locale":"default","call_to_actions":[{"type":"postback","title":"Back","payload":"B"}]}]`
	read := func() string {
		t.Helper()
		a := w.call("GET", "me/messenger_profile?fields=get_started,persistent_menu", "")
		a.wantOK(t)
		b, err := json.Marshal(a.body["data"])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got, want := read(), `[]`; got != want {
		t.Errorf("empty profile = %s, want %s", got, want)
	}
	set := func(body string) answer { return w.call("POST", "me/messenger_profile", body) }
	set(`{`+menu+`}`).want(t, 400, 100, 2018145) // needs Get Started
	for _, bad := range []string{
		`{}`, `{"get_started":{}}`, `{"get_started":{"payload":"S"},"persistent_menu":[]}`,
		`{"get_started":{"payload":"S"},"persistent_menu":[{"locale":"default","call_to_actions":[{"type":"postback","title":"` + strings.Repeat("x", 31) + `","payload":"B"}]}]}`,
		`{"ice_breakers":[{"call_to_actions":[{},{},{},{},{}]}]}`,
	} {
		set(bad).want(t, 400, 100, 0)
	}
	if got, want := read(), `[]`; got != want {
		t.Errorf("profile after refusals = %s, want %s", got, want)
	}
	set(`{"get_started":{"payload":"S"},` + menu + `}`).wantOK(t)
	if got, want := read(), `[{"get_started":{"payload":"S"},"persistent_menu":[{"call_to_actions":[{"payload":"B","title":"Back","type":"postback"}],"locale":"default"}]}]`; got != want {
		t.Errorf("profile = %s, want %s", got, want)
	}
	remove := func(fields string) answer { return w.call("DELETE", "me/messenger_profile", `{"fields":`+fields+`}`) }
	remove(`[]`).want(t, 400, 100, 0)
	remove(`["get_started"]`).want(t, 400, 100, 2018145) // the menu needs it
	remove(`["persistent_menu","get_started"]`).wantOK(t)
	if got, want := read(), `[]`; got != want {
		t.Errorf("profile after deletion = %s, want %s", got, want)
	}
}

func TestPageAndPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.PageName = "Tea House" })
	read := func(path string) map[string]any {
		t.Helper()
		a := w.call("GET", path, "")
		a.wantOK(t)
		return a.body
	}
	multi := func() any {
		return dig(t, read("me?fields=messaging_feature_status"), "messaging_feature_status", "msgr_multi_app")
	}
	if got := multi(); got != true {
		t.Errorf("msgr_multi_app = %v with a default app, want true", got)
	}
	w.SetDefaultApp("")
	if got := multi(); got != false {
		t.Errorf("msgr_multi_app = %v in zero-config, want false", got)
	}
	if diff := cmp.Diff(map[string]any{"id": string(page), "name": "Tea House"}, read(string(page)+"?fields=name")); diff != "" {
		t.Error(diff)
	}
	w.call("GET", "me?fields=shoe_size", "").want(t, 400, 100, 0)

	w.call("GET", string(ann)+"?fields=first_name", "").want(t, 400, 100, 2018218) // she has not written
	w.says("hello")
	w.Customer(ann).Speaks("en_US")
	want := map[string]any{"id": string(ann), "first_name": "Ann", "last_name": "Lee", "name": "Ann Lee", "locale": "en_US"}
	if diff := cmp.Diff(want, read(string(ann)+"?fields=first_name,last_name,name,locale")); diff != "" {
		t.Error(diff)
	}
	w.call("GET", "404", "").want(t, 400, 100, 33)
	if _, err := w.Customer("2").Says("no name"); err != nil {
		t.Fatal(err)
	}
	w.call("GET", "2", "").want(t, 400, 100, 2018218)
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.Fields = []string{} })
	w.says("before")
	w.wantTold()
	w.call("POST", "me/subscribed_apps?subscribed_fields=messages,messaging_seen", "").want(t, 400, 100, 0) // no such field
	w.call("POST", "me/subscribed_apps", `{}`).want(t, 400, 100, 0)
	w.call("POST", "me/subscribed_apps?subscribed_fields=messages,standby", "").wantOK(t)
	w.says("now")
	w.send("no echo is wanted", "").wantOK(t)
	w.wantTold(`messaging message "now"`)
	a := w.call("GET", "me/subscribed_apps", "")
	if diff := cmp.Diff([]any{"messages", "standby"}, dig(t, a.body, "data", 0, "subscribed_fields")); diff != "" {
		t.Error(diff)
	}
	w.call("POST", "me/subscribed_apps", `{"subscribed_fields":["messages"]}`).wantOK(t) // replaces
	toInbox(w)
	w.says("on standby")
	w.wantTold()
	w.call("DELETE", "me/subscribed_apps", "").wantOK(t)
	if fields, lapsed := w.Subscribed(bot); len(fields) != 0 || lapsed {
		t.Errorf("subscribed to %v, lapsed %v, want nothing by its own will", fields, lapsed)
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.LedgerSize = 6 })
	hers := w.says("hello")
	w.told()
	sent := w.post("messages", `"message":{"text":"Well?","metadata":"e1","quick_replies":[{"content_type":"text","title":"Yes","payload":"Y"}]}`)
	w.told()
	w.post("pass_thread_control", `"target_app_id":"1","metadata":"m"`)
	w.post("messages", buttons).wantOK(t)
	w.told()

	server := httptest.NewServer(w)
	defer server.Close()
	res, err := server.Client().Get(server.URL + "/_simulator/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, res)
	var got struct{ Entries []simulator.Entry }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	mid, _ := sent.body["message_id"].(string)
	calls := w.Calls()
	at := w.clock()
	want := []simulator.Entry{
		{Seq: 2, At: at, Delivery: &simulator.Delivery{App: bot, Attempt: 1, Status: 200, Events: []simulator.Told{
			{Kind: messenger.KindMessage, PSID: ann, MID: hers, Channel: simulator.Messaging, Cause: 1},
		}}},
		{Seq: 3, At: at, Call: &simulator.Call{
			App: bot, Method: "POST", Edge: "messages", PSID: ann, Text: "Well?", Metadata: "e1", QuickReplies: []string{"Yes"},
			MID: messenger.MessageID(mid), Status: 200,
		}},
		{Seq: 4, At: at, Delivery: &simulator.Delivery{App: bot, Attempt: 1, Status: 200, Events: []simulator.Told{
			{Kind: messenger.KindEcho, PSID: ann, MID: messenger.MessageID(mid), Channel: simulator.Messaging, Cause: 3},
		}}},
		{Seq: 5, At: at, Call: &simulator.Call{
			App: bot, Method: "POST", Edge: "pass_thread_control", PSID: ann, Target: "1", Metadata: "m",
			Status: 400, Code: 100, Subcode: 2018164, Error: "(#100) Incorrect App ID.",
		}},
		{Seq: 6, At: at, Call: &simulator.Call{
			App: bot, Method: "POST", Edge: "messages", PSID: ann, Text: "You can come back.", Buttons: []string{"Back to bot", "Help"},
			MID: calls[len(calls)-1].MID, Status: 200,
		}},
		{Seq: 7, At: at, Delivery: &simulator.Delivery{App: bot, Attempt: 1, Status: 200, Events: []simulator.Told{
			{Kind: messenger.KindEcho, PSID: ann, MID: calls[len(calls)-1].MID, Channel: simulator.Messaging, Cause: 6},
		}}},
	}
	if diff := cmp.Diff(want, got.Entries); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(w.Snapshot(), got.Entries); diff != "" {
		t.Errorf("ledger over HTTP differs from the snapshot:\n%s", diff)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://graph.example/_simulator/ledger?since=5", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.do(req)
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := a.body["entries"].([]any); len(entries) != 2 {
		t.Errorf("ledger since 5 = %v, want 2 entries", a.body)
	}
}
