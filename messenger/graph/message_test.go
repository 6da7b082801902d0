package graph_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"usher/messenger"
	"usher/messenger/graph"
)

// sentBody returns the body that m is sent as, without the proof.
func sentBody(t *testing.T, m graph.Message) string {
	t.Helper()
	var body string
	sent := recorded(t, "sent")
	c := clientOf(t, graph.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		body = string(b)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(sent))}, err
	})})
	if _, err := c.Send(t.Context(), ada, m); err != nil {
		t.Fatalf("Send: %v", err)
	}
	return "{" + strings.TrimPrefix(body, `{"appsecret_proof":"`+secretProof+`",`)
}

// Each message is sent as this JSON, also after it was stored and read again.
func TestMessageOnTheWire(t *testing.T) {
	t.Parallel()
	const (
		to       = `{"recipient":{"id":"2000000000000002"},`
		response = to + `"messaging_type":"RESPONSE",`
	)
	tests := map[string]struct {
		message graph.Message
		want    string
	}{
		"text": {message: graph.Message{Text: "Grüße 👋"}, want: response + `"message":{"text":"Grüße 👋"}}`},
		"quick_replies": {
			message: graph.Message{Text: "?", QuickReplies: []graph.QuickReply{
				{Title: "Yes", Payload: "YES"}, {ImageURL: "https://example.com/i.png"},
			}},
			want: response + `"message":{"text":"?","quick_replies":[{"content_type":"text","title":"Yes","payload":"YES"},` +
				`{"content_type":"text","title":"","payload":"","image_url":"https://example.com/i.png"}]}}`,
		},
		"buttons": {
			message: graph.Message{
				Text:         "A person will answer.",
				Buttons:      []graph.Button{{Title: "Back to bot", Payload: "BACK"}, {Title: "Shop", URL: "https://example.com/"}},
				QuickReplies: []graph.QuickReply{{Title: "Ok", Payload: "OK"}},
				Metadata:     "e1",
			},
			want: response + `"message":{"attachment":{"type":"template","payload":{"template_type":"button","text":"A person will answer.",` +
				`"buttons":[{"title":"Back to bot","payload":"BACK","type":"postback"},{"title":"Shop","url":"https://example.com/","type":"web_url"}]}},` +
				`"quick_replies":[{"content_type":"text","title":"Ok","payload":"OK"}],"metadata":"e1"}}`,
		},
		"cards": {
			message: graph.Message{Cards: []graph.Card{
				{Title: "One", Subtitle: "First", ImageURL: "https://example.com/1.png", URL: "https://example.com/1", Buttons: []graph.Button{{Title: "Buy", Payload: "BUY_1"}}},
				{Title: "Two", Subtitle: "Second"},
			}},
			want: response + `"message":{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[` +
				`{"title":"One","subtitle":"First","image_url":"https://example.com/1.png","default_action":{"type":"web_url","url":"https://example.com/1"},` +
				`"buttons":[{"title":"Buy","payload":"BUY_1","type":"postback"}]},{"title":"Two","subtitle":"Second"}]}}}}`,
		},
		"media_by_url": {
			message: graph.Message{Media: &graph.Media{Type: graph.File, URL: "https://example.com/f.pdf"}},
			want:    response + `"message":{"attachment":{"type":"file","payload":{"url":"https://example.com/f.pdf"}}}}`,
		},
		"media_uploaded": {
			message: graph.Message{Media: &graph.Media{Type: graph.Video, AttachmentID: "17"}},
			want:    response + `"message":{"attachment":{"type":"video","payload":{"attachment_id":"17"}}}}`,
		},
		"all_about_it": {
			message: graph.Message{
				Text: "x", Type: graph.TypeTag, Tag: graph.TagHumanAgent, Notification: graph.SilentPush, Persona: "9", ReplyTo: "m_1",
			},
			want: to + `"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"x"},"notification_type":"SILENT_PUSH","persona_id":"9","reply_to":{"mid":"m_1"}}`,
		},
		"pass": {
			message: graph.Message{Text: "x", Control: &graph.Control{Pass: messenger.PageInbox}},
			want:    response + `"message":{"text":"x"},"thread_control":{"control_type":"pass","app_id":"263902037430900"}}`,
		},
		"pass_to_default_app": {
			message: graph.Message{Text: "x", Control: &graph.Control{}},
			want:    response + `"message":{"text":"x"},"thread_control":{"control_type":"pass"}}`,
		},
		"release": {
			message: graph.Message{Text: "x", Control: &graph.Control{Release: true}},
			want:    response + `"message":{"text":"x"},"thread_control":{"control_type":"release"}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sentBody(t, tt.message); got != tt.want {
				t.Errorf("body = %s\nwant   %s", got, tt.want)
			}
			stored, err := json.Marshal(tt.message)
			if err != nil {
				t.Fatal(err)
			}
			var read graph.Message
			if err := json.Unmarshal(stored, &read); err != nil {
				t.Fatal(err)
			}
			if got := sentBody(t, read); got != tt.want {
				t.Errorf("body after storing as %s = %s\nwant   %s", stored, got, tt.want)
			}
		})
	}
}

// Every limit of Meta, at it and one beyond. Characters are counted, not bytes.
func TestValidate(t *testing.T) {
	t.Parallel()
	chars := func(n int) string { return strings.Repeat("ü", n) }
	text := func(change func(*graph.Message)) graph.Message {
		m := graph.Message{Text: "x"}
		change(&m)
		return m
	}
	buttons := func(n int) []graph.Button {
		var bs []graph.Button
		for range n {
			bs = append(bs, graph.Button{Title: "b", Payload: "p"})
		}
		return bs
	}
	button := func(b graph.Button) graph.Message { return graph.Message{Text: "x", Buttons: []graph.Button{b}} }
	quick := func(qs ...graph.QuickReply) graph.Message { return graph.Message{Text: "x", QuickReplies: qs} }
	card := func(c graph.Card) graph.Message { return graph.Message{Cards: []graph.Card{c}} }
	media := func(m graph.Media) graph.Message { return graph.Message{Media: &m} }
	const link = "https://example.com/"
	tests := map[string]struct {
		message graph.Message
		want    string // part of the error; "" = valid
	}{
		"text_2000":             {message: graph.Message{Text: chars(2000)}},
		"text_2001":             {message: graph.Message{Text: chars(2001)}, want: "text has 2001 characters, at most 2000"},
		"text_not_utf8":         {message: graph.Message{Text: "\xff"}, want: "text is not UTF-8"},
		"nothing":               {message: graph.Message{}, want: "exactly one of text, cards and media"},
		"text_and_cards":        {message: graph.Message{Text: "x", Cards: []graph.Card{{Title: "t", Subtitle: "s"}}}, want: "exactly one"},
		"text_and_media":        {message: graph.Message{Text: "x", Media: &graph.Media{Type: graph.Image, URL: link}}, want: "exactly one"},
		"button_text_640":       {message: graph.Message{Text: chars(640), Buttons: buttons(1)}},
		"button_text_641":       {message: graph.Message{Text: chars(641), Buttons: buttons(1)}, want: "text has 641 characters, at most 640"},
		"buttons_3":             {message: graph.Message{Text: "x", Buttons: buttons(3)}},
		"buttons_4":             {message: graph.Message{Text: "x", Buttons: buttons(4)}, want: "4 buttons, at most 3"},
		"buttons_without_text":  {message: graph.Message{Buttons: buttons(1)}, want: "buttons need a text"},
		"button_title_20":       {message: button(graph.Button{Title: chars(20), Payload: "p"})},
		"button_title_21":       {message: button(graph.Button{Title: chars(21), Payload: "p"}), want: "button 1: title has 21 characters, at most 20"},
		"button_title_missing":  {message: button(graph.Button{Payload: "p"}), want: "button 1: title is missing"},
		"button_payload_1000":   {message: button(graph.Button{Title: "b", Payload: chars(1000)})},
		"button_payload_1001":   {message: button(graph.Button{Title: "b", Payload: chars(1001)}), want: "button 1: payload has 1001"},
		"button_without_either": {message: button(graph.Button{Title: "b"}), want: "either a payload or a URL"},
		"button_with_both":      {message: button(graph.Button{Title: "b", Payload: "p", URL: link}), want: "either a payload or a URL"},
		"button_relative_url":   {message: button(graph.Button{Title: "b", URL: "/shop"}), want: "button 1: URL does not begin"},
		"button_script_url":     {message: button(graph.Button{Title: "b", URL: "javascript://x"}), want: "button 1: URL does not begin"},
		"quick_replies_13":      {message: quick(make13(graph.QuickReply{Title: "q", Payload: "p"})...)},
		"quick_replies_14":      {message: quick(append(make13(graph.QuickReply{Title: "q", Payload: "p"}), graph.QuickReply{Title: "q", Payload: "p"})...), want: "14 quick replies, at most 13"},
		"quick_title_20":        {message: quick(graph.QuickReply{Title: chars(20), Payload: "p"})},
		"quick_title_21":        {message: quick(graph.QuickReply{Title: chars(21), Payload: "p"}), want: "quick reply 1: title has 21"},
		"quick_title_missing":   {message: quick(graph.QuickReply{Payload: "p"}), want: "only with an image"},
		"quick_payload_1000":    {message: quick(graph.QuickReply{Title: "q", Payload: chars(1000)})},
		"quick_payload_1001":    {message: quick(graph.QuickReply{Title: "q", Payload: chars(1001)}), want: "quick reply 1: payload has 1001"},
		"quick_payload_missing": {message: quick(graph.QuickReply{Title: "q"}), want: "only with an image"},
		"quick_image_alone":     {message: quick(graph.QuickReply{ImageURL: link})},
		"quick_image_no_url":    {message: quick(graph.QuickReply{ImageURL: "i.png"}), want: "quick reply 1: image URL does not begin"},
		"cards_10":              {message: graph.Message{Cards: make([]graph.Card, 10)}, want: "card 10: title is missing"},
		"cards_11":              {message: graph.Message{Cards: make([]graph.Card, 11)}, want: "11 cards, at most 10"},
		"card_title_80":         {message: card(graph.Card{Title: chars(80), Subtitle: chars(80)})},
		"card_title_81":         {message: card(graph.Card{Title: chars(81), Subtitle: "s"}), want: "card 1: title has 81"},
		"card_subtitle_81":      {message: card(graph.Card{Title: "t", Subtitle: chars(81)}), want: "card 1: subtitle has 81"},
		"card_title_alone":      {message: card(graph.Card{Title: "t"}), want: "card 1: wants more than a title"},
		"card_image":            {message: card(graph.Card{Title: "t", ImageURL: link})},
		"card_image_no_url":     {message: card(graph.Card{Title: "t", ImageURL: "i.png"}), want: "card 1: image URL does not begin"},
		"card_url":              {message: card(graph.Card{Title: "t", URL: link})},
		"card_url_bad":          {message: card(graph.Card{Title: "t", URL: "https://"}), want: "card 1: URL does not begin"},
		"card_buttons_3":        {message: card(graph.Card{Title: "t", Buttons: buttons(3)})},
		"card_buttons_4":        {message: card(graph.Card{Title: "t", Buttons: buttons(4)}), want: "card 1: 4 buttons, at most 3"},
		"card_button_title":     {message: card(graph.Card{Title: "t", Buttons: []graph.Button{{Payload: "p"}}}), want: "card 1: button 1: title is missing"},
		"media_url":             {message: media(graph.Media{Type: graph.Audio, URL: link})},
		"media_id":              {message: media(graph.Media{Type: graph.File, AttachmentID: "1"})},
		"media_type":            {message: media(graph.Media{Type: "gif", URL: link}), want: "media: type is unknown"},
		"media_neither":         {message: media(graph.Media{Type: graph.Image}), want: "either a URL or an attachment id"},
		"media_both":            {message: media(graph.Media{Type: graph.Image, URL: link, AttachmentID: "1"}), want: "either a URL or an attachment id"},
		"media_bad_url":         {message: media(graph.Media{Type: graph.Image, URL: "file:///etc/passwd"}), want: "media: URL does not begin"},
		"metadata_1000":         {message: text(func(m *graph.Message) { m.Metadata = chars(1000) })},
		"metadata_1001":         {message: text(func(m *graph.Message) { m.Metadata = chars(1001) }), want: "metadata has 1001"},
		"type":                  {message: text(func(m *graph.Message) { m.Type = "NON_PROMOTIONAL" }), want: "type is unknown"},
		"type_update":           {message: text(func(m *graph.Message) { m.Type = graph.TypeUpdate })},
		"tag":                   {message: text(func(m *graph.Message) { m.Type, m.Tag = graph.TypeTag, graph.TagCustomerFeedback })},
		"dead_tag":              {message: text(func(m *graph.Message) { m.Type, m.Tag = graph.TypeTag, "ACCOUNT_UPDATE" }), want: "tag is unknown or was withdrawn"},
		"tag_without_type":      {message: text(func(m *graph.Message) { m.Tag = graph.TagHumanAgent }), want: "need each other"},
		"type_without_tag":      {message: text(func(m *graph.Message) { m.Type = graph.TypeTag }), want: "need each other"},
		"notification":          {message: text(func(m *graph.Message) { m.Notification = "LOUD" }), want: "notification is unknown"},
		"control_both":          {message: text(func(m *graph.Message) { m.Control = &graph.Control{Pass: "1", Release: true} }), want: "either passed or released"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.message.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate = %v, want nil", err)
			case tt.want != "" && (!errors.Is(err, graph.ErrBadParameter) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate = %v, want ErrBadParameter with %q", err, tt.want)
			}
		})
	}
}

func make13(q graph.QuickReply) []graph.QuickReply {
	qs := make([]graph.QuickReply, 13)
	for i := range qs {
		qs[i] = q
	}
	return qs
}

func TestValidateMessengerProfile(t *testing.T) {
	t.Parallel()
	chars := func(n int) string { return strings.Repeat("ü", n) }
	questions := func(n int) graph.MessengerProfile {
		b := graph.IceBreakers{Locale: "default"}
		for range n {
			b.Questions = append(b.Questions, graph.IceBreaker{Question: chars(80), Payload: chars(1000)})
		}
		return graph.MessengerProfile{IceBreakers: []graph.IceBreakers{b}}
	}
	menu := func(n int, item graph.Button) graph.MessengerProfile {
		m := graph.Menu{Locale: "default"}
		for range n {
			m.Items = append(m.Items, item)
		}
		return graph.MessengerProfile{Menu: []graph.Menu{m}}
	}
	item := graph.Button{Title: chars(30), Payload: "p"}
	greeting := func(text string, locales ...string) graph.MessengerProfile {
		var p graph.MessengerProfile
		for _, l := range locales {
			p.Greeting = append(p.Greeting, graph.Greeting{Locale: l, Text: text})
		}
		return p
	}
	tests := map[string]struct {
		profile graph.MessengerProfile
		want    string
	}{
		"empty":              {},
		"get_started_1000":   {profile: graph.MessengerProfile{GetStarted: &graph.GetStarted{Payload: chars(1000)}}},
		"get_started_1001":   {profile: graph.MessengerProfile{GetStarted: &graph.GetStarted{Payload: chars(1001)}}, want: "payload has 1001"},
		"get_started_empty":  {profile: graph.MessengerProfile{GetStarted: &graph.GetStarted{}}, want: "payload is missing"},
		"greeting_160":       {profile: greeting(chars(160), "default", "de_DE")},
		"greeting_161":       {profile: greeting(chars(161), "default"), want: "greeting 1: text has 161"},
		"greeting_empty":     {profile: greeting("", "default"), want: "greeting 1: text is missing"},
		"greeting_locale":    {profile: greeting("x", "de_DE"), want: "greeting: none has the locale default"},
		"greeting_twice":     {profile: greeting("x", "de_DE", "default", "de_DE"), want: "greeting: two have the same locale"},
		"ice_breakers_4":     {profile: questions(4)},
		"ice_breakers_5":     {profile: questions(5), want: "at most 4"},
		"ice_breakers_none":  {profile: questions(0), want: "no questions"},
		"ice_breaker_locale": {profile: graph.MessengerProfile{IceBreakers: []graph.IceBreakers{{Questions: []graph.IceBreaker{{Question: "q", Payload: "p"}}}}}, want: "ice breakers: none has the locale default"},
		"ice_breaker_long":   {profile: graph.MessengerProfile{IceBreakers: []graph.IceBreakers{{Locale: "default", Questions: []graph.IceBreaker{{Question: chars(81)}}}}}, want: "question has 81"},
		"ice_breaker_mute":   {profile: graph.MessengerProfile{IceBreakers: []graph.IceBreakers{{Locale: "default", Questions: []graph.IceBreaker{{Question: "q"}}}}}, want: "payload is missing"},
		"menu_20":            {profile: menu(20, item)},
		"menu_21":            {profile: menu(21, item), want: "at most 20"},
		"menu_empty":         {profile: menu(0, item), want: "menu 1: no items"},
		"menu_mute":          {profile: graph.MessengerProfile{Menu: []graph.Menu{{Locale: "default", NoComposer: true}}}},
		"menu_title_31":      {profile: menu(1, graph.Button{Title: chars(31), Payload: "p"}), want: "menu 1: item 1: title has 31"},
		"menu_item_both":     {profile: menu(1, graph.Button{Title: "t", Payload: "p", URL: "https://h/"}), want: "either a payload or a URL"},
		"menu_locale":        {profile: graph.MessengerProfile{Menu: []graph.Menu{{Locale: "de_DE", Items: []graph.Button{item}}}}, want: "menu: none has the locale default"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.profile.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate = %v, want nil", err)
			case tt.want != "" && (!errors.Is(err, graph.ErrBadParameter) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate = %v, want ErrBadParameter with %q", err, tt.want)
			}
		})
	}
}

func TestValidateTellsAllFaults(t *testing.T) {
	t.Parallel()
	const said = "canary"
	err := graph.Message{
		Text: strings.Repeat(said, 500), Metadata: strings.Repeat(said, 500),
		QuickReplies: []graph.QuickReply{{Title: strings.Repeat(said, 9)}},
	}.Validate()
	for _, want := range []string{"text has 3000", "metadata has 3000", "quick reply 1: title has 54", "only with an image"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want also %q", err, want)
		}
	}
	noCanary(t, err.Error(), said)
}
