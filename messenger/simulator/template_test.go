package simulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/messenger/simulator"
)

func long(n int) string { return strings.Repeat("ü", n) } // characters, not bytes

func many(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }

// template writes a message with a template of that payload.
func template(kind, rest string) string {
	return fmt.Sprintf(`"message":{"attachment":{"type":"template","payload":{"template_type":%q,%s}}}`, kind, rest)
}

// edited returns s with old replaced by new; there must be one.
func edited(t *testing.T, s, old, with string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is not in %s once", old, s)
	}
	return strings.Replace(s, old, with, 1)
}

// Each template as it should be, and what each edit of it is refused with: the
// subcode, or -1 where it is accepted.
func TestTemplateLimits(t *testing.T) {
	t.Parallel()
	const (
		media = `"elements":[{"media_type":"image","url":"https://www.facebook.com/photo/1","buttons":[{"type":"web_url","title":"T","url":"https://a.b"}]}]`
		grid  = `"elements":[{"title":"T","subtitle":"S","buttons":[{"type":"postback","title":"B","payload":"P"}],` +
			`"images":[{"url":"https://a.b/1","is_hero_image":true,"action":{"type":"web_url","url":"https://a.b"}},{"url":"https://a.b/2"}]}]`
		receipt = `"recipient_name":"Ann Lee","order_number":"42","currency":"EUR","payment_method":"Visa 1234","summary":{"total_cost":56.14},` +
			`"address":{"street_1":"1 Way","city":"C","postal_code":"1","state":"S","country":"US"},"elements":[{"title":"Tea","price":"0"}],` +
			`"adjustments":[{"name":"N","amount":1}]`
		coupon   = `"title":"10% off","coupon_code":"TEN","coupon_url":"https://a.b"`
		feedback = `"title":"How was it?","subtitle":"One question","button_title":"Rate","feedback_screens":[{"questions":[{"id":"q_1","type":"csat",` +
			`"title":"Were you content?","score_label":"poor_great","score_option":"five_emojis","follow_up":{"type":"free_form","placeholder":"Why?"}}]}],` +
			`"business_privacy":{"url":"https://a.b/privacy"},"expires_in_days":3`
	)
	button := func(title string) string { return `{"type":"postback","title":"` + title + `","payload":"P"}` }
	type edit struct {
		old, with string
		want      int
	}
	for kind, tt := range map[string]struct {
		good  string
		edits map[string]edit
	}{
		"media": {media, map[string]edit{
			"no_element":        {media, `"elements":[]`, 0},
			"two_elements":      {media, `"elements":[{"media_type":"image","url":"https://facebook.com/1"},{"media_type":"image","url":"https://facebook.com/2"}]`, 0},
			"video":             {`"image"`, `"video"`, -1},
			"audio":             {`"image"`, `"audio"`, 0},
			"elsewhere":         {`https://www.facebook.com/photo/1`, `https://notfacebook.com/1`, 0},
			"no_tls":            {`https://www.facebook.com/photo/1`, `http://www.facebook.com/1`, 0},
			"neither":           {`"url":"https://www.facebook.com/photo/1",`, ``, 0},
			"both":              {`"media_type":"image",`, `"media_type":"image","attachment_id":"1",`, 0},
			"no_such_upload":    {`"url":"https://www.facebook.com/photo/1"`, `"attachment_id":1`, 2018074},
			"three_buttons":     {`{"type":"web_url","title":"T","url":"https://a.b"}`, many(3, button("T")), -1},
			"four_buttons":      {`{"type":"web_url","title":"T","url":"https://a.b"}`, many(4, button("T")), 0},
			"elements_no_array": {media, `"elements":7`, 0},
		}},
		"image_grid": {grid, map[string]edit{
			"no_element":      {grid, `"elements":[]`, 0},
			"one_image":       {`,{"url":"https://a.b/2"}`, ``, 0},
			"six_images":      {`{"url":"https://a.b/2"}`, many(5, `{"url":"https://a.b/2"}`), -1},
			"seven_images":    {`{"url":"https://a.b/2"}`, many(6, `{"url":"https://a.b/2"}`), 0},
			"two_heroes":      {`{"url":"https://a.b/2"}`, `{"url":"https://a.b/2","is_hero_image":true}`, 0},
			"image_nowhere":   {`{"url":"https://a.b/2"}`, `{}`, 2018008},
			"title":           {`"title":"T"`, `"title":"` + long(45) + `"`, -1},
			"title_long":      {`"title":"T"`, `"title":"` + long(46) + `"`, 0},
			"no_title":        {`"title":"T",`, ``, -1},
			"subtitle":        {`"subtitle":"S"`, `"subtitle":"` + long(80) + `"`, -1},
			"subtitle_long":   {`"subtitle":"S"`, `"subtitle":"` + long(81) + `"`, 0},
			"phone_button":    {`{"type":"postback","title":"B"`, `{"type":"phone_number","title":"B"`, 0},
			"three_buttons":   {button("B"), many(3, button("B")), -1},
			"four_buttons":    {button("B"), many(4, button("B")), 0},
			"action_posts":    {`"action":{"type":"web_url","url":"https://a.b"}`, `"action":{"type":"postback","payload":"P"}`, -1},
			"action_calls":    {`"action":{"type":"web_url","url":"https://a.b"}`, `"action":{"type":"phone_number","payload":"1"}`, 0},
			"action_is_empty": {`"action":{"type":"web_url","url":"https://a.b"}`, `"action":{"type":"postback"}`, 0},
		}},
		"receipt": {receipt, map[string]edit{
			"recipient":         {`"recipient_name":"Ann Lee"`, `"recipient_name":""`, 0},
			"order":             {`"order_number":"42"`, `"order_number":""`, 0},
			"currency":          {`"currency":"EUR"`, `"currency":""`, 0},
			"payment":           {`"payment_method":"Visa 1234"`, `"payment_method":""`, 0},
			"total":             {`"total_cost":56.14`, `"subtotal":56.14`, 0},
			"total_no_number":   {`"total_cost":56.14`, `"total_cost":"much"`, 0},
			"no_address":        {`"address":{"street_1":"1 Way","city":"C","postal_code":"1","state":"S","country":"US"},`, ``, -1},
			"street":            {`"street_1":"1 Way",`, ``, 0},
			"city":              {`"city":"C",`, ``, 0},
			"postal_code":       {`"postal_code":"1",`, ``, 0},
			"state":             {`"state":"S",`, ``, 0},
			"country":           {`"state":"S","country":"US"`, `"state":"S"`, 0},
			"hundred_elements":  {`{"title":"Tea","price":"0"}`, many(100, `{"title":"Tea","price":1}`), -1},
			"too_many_elements": {`{"title":"Tea","price":"0"}`, many(101, `{"title":"Tea","price":1}`), 0},
			"no_elements":       {`"elements":[{"title":"Tea","price":"0"}],`, ``, -1},
			"element_price":     {`"title":"Tea","price":"0"`, `"title":"Tea"`, 0},
			"element_title":     {`"title":"Tea",`, ``, 0},
			"adjustment_name":   {`"name":"N",`, ``, 0},
			"adjustment_amount": {`"name":"N","amount":1`, `"name":"N"`, 0},
		}},
		"coupon": {coupon, map[string]edit{
			"title":     {`"title":"10% off",`, ``, 0},
			"code_only": {`,"coupon_url":"https://a.b"`, ``, -1},
			"url_only":  {`"coupon_code":"TEN",`, ``, -1},
			"neither":   {`"coupon_code":"TEN","coupon_url":"https://a.b"`, `"subtitle":"S"`, 0},
			"no_url":    {`https://a.b`, `a.b`, 2018008},
		}},
		"customer_feedback": {feedback, map[string]edit{
			"title":             {`"title":"How was it?"`, `"title":"` + long(65) + `"`, -1},
			"title_long":        {`"title":"How was it?"`, `"title":"` + long(66) + `"`, 0},
			"no_title":          {`"title":"How was it?",`, ``, 0},
			"subtitle":          {`"subtitle":"One question"`, `"subtitle":"` + long(80) + `"`, -1},
			"subtitle_long":     {`"subtitle":"One question"`, `"subtitle":"` + long(81) + `"`, 0},
			"no_subtitle":       {`"subtitle":"One question",`, ``, 0},
			"button":            {`"button_title":"Rate"`, `"button_title":"` + long(20) + `"`, -1},
			"button_long":       {`"button_title":"Rate"`, `"button_title":"` + long(21) + `"`, 0},
			"no_button":         {`"button_title":"Rate",`, ``, 0},
			"no_screen":         {`"feedback_screens":[{`, `"feedback_screens":[],"x":[{`, 0},
			"two_screens":       {`"feedback_screens":[{`, `"feedback_screens":[{"questions":[{"id":"a","type":"nps"}]},{`, 0},
			"no_question":       {`"questions":[{`, `"questions":[],"x":[{`, 0},
			"two_questions":     {`"questions":[{`, `"questions":[{"id":"a","type":"nps"},{`, 0},
			"id":                {`"q_1"`, `"` + strings.Repeat("x", 80) + `"`, -1},
			"id_long":           {`"q_1"`, `"` + strings.Repeat("x", 81) + `"`, 0},
			"id_with_a_hyphen":  {`"q_1"`, `"q-1"`, 0},
			"no_id":             {`"id":"q_1",`, ``, 0},
			"unknown_type":      {`"csat"`, `"smile"`, 0},
			"question":          {`"Were you content?"`, `"` + long(85) + `"`, -1},
			"question_long":     {`"Were you content?"`, `"` + long(86) + `"`, 0},
			"question_short":    {`"Were you content?"`, `"Why?"`, 0},
			"question_none":     {`"title":"Were you content?",`, ``, -1},
			"label_unknown":     {`poor_great`, `cold_warm`, 0},
			"label_none":        {`poor_great`, `none`, -1},
			"option_of_nps":     {`five_emojis`, `zero_to_ten`, 0},
			"follow_up_type":    {`"type":"free_form"`, `"type":"csat"`, 0},
			"placeholder":       {`"Why?"`, `"` + long(65) + `"`, -1},
			"placeholder_long":  {`"Why?"`, `"` + long(66) + `"`, 0},
			"free_form":         {`"csat","title":"Were you content?","score_label":"poor_great","score_option":"five_emojis","follow_up":{"type":"free_form","placeholder":"Why?"}`, `"free_form"`, -1},
			"free_form_scored":  {`"csat","title":"Were you content?","score_label":"poor_great","score_option":"five_emojis","follow_up":{"type":"free_form","placeholder":"Why?"}`, `"free_form","score_label":"none"`, 0},
			"free_form_twice":   {`"csat","title":"Were you content?","score_label":"poor_great","score_option":"five_emojis"`, `"free_form"`, 0},
			"no_privacy":        {`,"business_privacy":{"url":"https://a.b/privacy"}`, ``, 0},
			"privacy_nowhere":   {`https://a.b/privacy`, `privacy`, 0},
			"seven_days":        {`"expires_in_days":3`, `"expires_in_days":7`, -1},
			"eight_days":        {`"expires_in_days":3`, `"expires_in_days":8`, 0},
			"no_day":            {`"expires_in_days":3`, `"expires_in_days":0`, 0},
			"link_in_title":     {`How was it?`, `See www.a.b`, 0},
			"link_in_subtitle":  {`One question`, `HTTP://a.b`, 0},
			"link_in_button":    {`"Rate"`, `"http://a.b"`, 0},
			"link_in_question":  {`Were you content?`, `See https://a.b`, 0},
			"link_in_the_field": {`Why?`, `https://a.b`, 0},
		}},
	} {
		tt.edits["as_it_should_be"] = edit{tt.good, tt.good, -1}
		for name, e := range tt.edits {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, doubt(func(d *simulator.Doubts) { d.FeedbackFromIdle = true }))
				w.says("hello")
				a := w.post("messages", template(kind, edited(t, tt.good, e.old, e.with)))
				said := len(w.Transcript(ann)) == 2
				if said != (e.want == -1) {
					t.Errorf("said = %v: %v", said, a.body)
				}
				if e.want != -1 {
					a.want(t, http.StatusBadRequest, 100, e.want)
				}
			})
		}
	}
}

// What the phone shows of each template.
func TestTemplatesOnThePhone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.PageName = "Tea House" }, doubt(func(d *simulator.Doubts) { d.FeedbackFromIdle = true }))
	w.says("hello")
	upload, _ := w.call("POST", "me/message_attachments",
		`{"message":{"attachment":{"type":"video","payload":{"url":"https://a.b/c.mp4"}}}}`).body["attachment_id"].(string)
	question := func(q string) string {
		return template("customer_feedback", `"title":"T","subtitle":"S","button_title":"Rate","feedback_screens":[{"questions":[{"id":"q",`+q+`}]}],`+
			`"business_privacy":{"url":"https://a.b"}`)
	}
	until := w.clock().Add(24 * time.Hour)
	for body, want := range map[string]simulator.Line{
		template("media", `"elements":[{"media_type":"video","attachment_id":"`+upload+`","buttons":[{"type":"postback","title":"B","payload":"P"}]}]`): {
			Template: "media", Attachment: "video", URL: "attachment:" + upload, Buttons: []simulator.Button{{Title: "B", Payload: "P"}},
		},
		template("image_grid", `"elements":[{"title":"T","subtitle":"S","images":[{"url":"https://a.b/1","action":{"type":"web_url","url":"https://x.y"}},{"url":"https://a.b/2"}]}]`): {
			Template: "image_grid", Text: "T\nS", Cards: []simulator.Card{{ImageURL: "https://a.b/1", URL: "https://x.y"}, {ImageURL: "https://a.b/2"}},
		},
		template("receipt", `"recipient_name":"R","order_number":"42","currency":"EUR","payment_method":"P","summary":{"total_cost":56.14},"elements":[{"title":"Tea","price":9}]`): {
			Template: "receipt", Text: "42\n56.14 EUR", Cards: []simulator.Card{{Title: "Tea"}},
		},
		template("coupon", `"title":"10% off","coupon_code":"TEN","coupon_url":"https://a.b","coupon_pre_message":"For you"`): {
			Template: "coupon", Text: "For you", Cards: []simulator.Card{{Title: "10% off", Subtitle: "Terms may apply.", Buttons: []simulator.Button{{Title: "Shop now", URL: "https://a.b"}}}},
		},
		question(`"type":"csat"`): {Template: "customer_feedback", Text: "T\nS", Feedback: &simulator.Feedback{
			Button: "Rate", ID: "q", Type: "csat", Title: "How would you rate your experience with Tea House?", Option: "five_stars", Label: "neg_pos", Until: until,
		}},
		question(`"type":"nps","follow_up":{"type":"free_form"}`): {Template: "customer_feedback", Text: "T\nS", Feedback: &simulator.Feedback{
			Button: "Rate", ID: "q", Type: "nps", Title: "How likely are you to recommend Tea House to a friend?", Option: "zero_to_ten", Label: "unlike_like",
			FollowUp: "Give additional feedback", Until: until,
		}},
		question(`"type":"ces","title":"Was it easy?","score_label":"none"`): {Template: "customer_feedback", Text: "T\nS", Feedback: &simulator.Feedback{
			Button: "Rate", ID: "q", Type: "ces", Title: "Was it easy?", Option: "one_to_seven", Label: "none", Until: until,
		}},
		question(`"type":"free_form"`): {Template: "customer_feedback", Text: "T\nS", Feedback: &simulator.Feedback{
			Button: "Rate", ID: "q", Type: "free_form", Until: until,
		}},
	} {
		w.post("messages", body).wantOK(t)
		lines := w.Transcript(ann)
		got := lines[len(lines)-1]
		want.At, want.MID, want.From, want.App = got.At, got.MID, simulator.FromPage, bot
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", body, diff)
		}
	}
}

// The feedback template needs control; idle is not enough, unless Doubts say so.
func TestFeedbackNeedsControl(t *testing.T) {
	t.Parallel()
	ask := template("customer_feedback", `"title":"T","subtitle":"S","button_title":"Rate","feedback_screens":[{"questions":[{"id":"q","type":"csat"}]}],`+
		`"business_privacy":{"url":"https://a.b"}`)
	w := newWorld(t)
	w.says("hello")
	w.post("messages", ask).want(t, 400, 100, 0)
	w.post("take_thread_control", "").wantOK(t)
	w.post("messages", ask).wantOK(t)
	toInbox(w)
	w.post("messages", ask).want(t, 400, 10, 2018300)
	z := newWorld(t, zeroConfig)
	z.says("hello")
	z.post("messages", ask).wantOK(t)
	idle := newWorld(t, doubt(func(d *simulator.Doubts) { d.FeedbackFromIdle = true }))
	idle.says("hello")
	idle.post("messages", ask).wantOK(t)
}

// The feedback tag is for the feedback template, for 7 days.
func TestFeedbackTag(t *testing.T) {
	t.Parallel()
	ask := `"messaging_type":"MESSAGE_TAG","tag":"CUSTOMER_FEEDBACK",` + template("customer_feedback",
		`"title":"T","subtitle":"S","button_title":"Rate","feedback_screens":[{"questions":[{"id":"q","type":"csat"}]}],"business_privacy":{"url":"https://a.b"}`)
	w := newWorld(t, doubt(func(d *simulator.Doubts) { d.FeedbackFromIdle = true }))
	w.says("hello")
	w.post("messages", `"messaging_type":"MESSAGE_TAG","tag":"CUSTOMER_FEEDBACK","message":{"text":"x"}`).want(t, 400, 100, 0)
	for _, dead := range []string{"CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE"} {
		w.send("x", `"tag":"`+dead+`"`).want(t, 400, 100, 0)
	}
	w.pass(7*24*time.Hour - time.Millisecond)
	w.post("messages", ask).wantOK(t)
	w.pass(time.Millisecond)
	w.post("messages", ask).want(t, 400, 10, 2018278)
}

// An echo has a template as it was sent.
func TestTemplateEcho(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says("hello")
	w.told()
	w.post("messages", template("coupon", `"title":"T","coupon_code":"TEN"`)).wantOK(t)
	w.told()
	if want := `{"type":"template","payload":{"template_type":"coupon","title":"T","coupon_code":"TEN"}}`; !strings.Contains(string(w.ear.last()), want) {
		t.Errorf("echo = %s, want %s in it", w.ear.last(), want)
	}
}
