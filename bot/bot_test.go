package bot_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usher/bot"
)

// script is what the tests below talk to.
const script = `
version: 1
greeting: {keywords: [hello, good morning, 👋], say: GREETING}
get_started: {say: [STARTED, {image: "https://example.com/a.png"}]}
shortcuts:
  - {id: menu, keywords: [menu, what can you do], say: MENU}
  - {id: again, keywords: [again], goto: complaint}
  - {id: way, keywords: [way], goto: hidden}
rules:
  - {id: hours, keywords: [hours, opening hours], payloads: [HOURS], refs: [hours-mail], say: HOURS}
  - {id: sunday, keywords: [opening hours on sunday, sunday], say: SUNDAY}
  - {id: party, match: {exact: [party], contains: [big party], regex: ['(?i)^party\b', 'PARTY']}, say: PARTY}
  - {id: twelve, match: {regex: ['^\d+$']}, say: NUMBER}
  - {id: digits, match: {regex: ['\d']}, say: DIGITS}
  - {id: complaint, keywords: [complain], say: COMPLAINT, handoff: true}
  - {id: person, keywords: [person], handoff: true}
  - {id: thanks, keywords: [thanks, 👍], media: [sticker], silent: true}
  - {id: photo, media: [image], say: PHOTO}
  - {id: thai, keywords: [ราคา, กร], say: THAI}
  - {id: chinese, keywords: [人工客服, 人工], say: CHINESE}
  - {id: first, keywords: [aaa bb], say: FIRST}
  - {id: second, keywords: [bb ccc], say: SECOND}
  - {id: hidden, say: HIDDEN}
returned: {say: RETURNED}
fallback:
  - {say: MISSED 1}
  - {say: MISSED 2}
  - {say: MISSED 3, handoff: true}
`

func load(tb testing.TB, src string) *bot.Script {
	tb.Helper()
	s, err := bot.Load("test.yaml", []byte(src))
	if err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return s
}

func TestReply(t *testing.T) {
	t.Parallel()
	s := load(t, script)
	text := func(s string) bot.Turn { return bot.Turn{Text: s} }
	missed := func(rule, said string) string { return rule + ": " + said + " (missed)" }
	tests := map[string]struct {
		turn bot.Turn
		want string
	}{
		"greeting":                              {text("Hello!"), "greeting: GREETING"},
		"greeting_with_emoji":                   {text("good  morning 🌞🌞"), "greeting: GREETING"},
		"greeting_by_emoji":                     {text("👋🏽"), "greeting: GREETING"},
		"greeting_inside_a_text_is_none":        {text("hello world"), missed("fallback", "MISSED 1")},
		"first_text_unknown":                    {bot.Turn{Text: "blah", First: true}, "greeting: GREETING"},
		"first_text_without_words":              {bot.Turn{Text: "?!", First: true}, "greeting: GREETING"},
		"first_text_known":                      {bot.Turn{Text: "hours", First: true}, "hours: HOURS"},
		"first_tap_unknown":                     {bot.Turn{Kind: bot.Postback, Payload: "X", First: true}, "greeting: GREETING"},
		"shortcut":                              {text("What can you do?"), "menu: MENU"},
		"shortcut_inside_a_text_is_none":        {text("what can you do better"), missed("fallback", "MISSED 1")},
		"shortcut_to_a_rule":                    {text("again"), "again: COMPLAINT (handoff)"},
		"rule_that_only_a_goto_leads_to":        {text("way"), "way: HIDDEN"},
		"exact":                                 {text("PARTY"), "party: PARTY"},
		"keyword_inside":                        {text("Your hours, please"), "hours: HOURS"},
		"keyword_is_a_whole_word":               {text("yourhours"), missed("fallback", "MISSED 1")},
		"keyword_of_two_words_in_order":         {text("hours of opening for parties: big and party"), "hours: HOURS"},
		"longest_keyword_wins":                  {text("sunday hours: opening hours on Sunday?"), "sunday: SUNDAY"},
		"longer_keyword_wins_wherever_it_is":    {text("hours? sunday"), "sunday: SUNDAY"},
		"equal_keywords_first_in_the_file":      {text("bb ccc aaa bb"), "first: FIRST"},
		"overlapping_keywords":                  {text("aaa bb ccc"), "first: FIRST"},
		"keyword_before_pattern":                {text("party on sunday"), "sunday: SUNDAY"},
		"pattern":                               {text("Party time"), "party: PARTY"},
		"pattern_sees_case":                     {text("a party"), missed("fallback", "MISSED 1")},
		"patterns_in_order":                     {text("42"), "twelve: NUMBER"},
		"second_pattern":                        {text("a 42"), "digits: DIGITS"},
		"beyond_2000_characters_nothing_counts": {text(strings.Repeat("é ", 1000) + "hours"), missed("fallback", "MISSED 1")},
		"up_to_2000_characters_all_counts":      {text(strings.Repeat("é ", 997) + " hours"), "hours: HOURS"},
		"thai_without_spaces":                   {text("ขอราคาหน่อย"), "thai: THAI"},
		"thai_with_another_vowel":               {text("กรัม"), missed("fallback", "MISSED 1")},
		"chinese_without_spaces":                {text("我要找人工客服谢谢"), "chinese: CHINESE"},
		"chinese_part_of_the_keyword":           {text("转人工"), "chinese: CHINESE"},
		"emoji_in_a_run":                        {text("👍👍🏿"), "thanks:"},
		"handoff_with_words":                    {text("I complain"), "complaint: COMPLAINT (handoff)"},
		"handoff_without_words":                 {text("a person please"), "person: (handoff)"},

		"tap_by_payload":             {bot.Turn{Kind: bot.QuickReply, Payload: "HOURS", Text: "sunday"}, "hours: HOURS"},
		"tap_by_rule":                {bot.Turn{Kind: bot.Postback, Payload: "RULE:sunday"}, "sunday: SUNDAY"},
		"tap_by_section":             {bot.Turn{Kind: bot.Postback, Payload: "RULE:greeting"}, "greeting: GREETING"},
		"old_quick_reply_says_title": {bot.Turn{Kind: bot.QuickReply, Payload: "OLD", Text: "Sunday"}, "sunday: SUNDAY"},
		"old_button_says_title":      {bot.Turn{Kind: bot.Postback, Payload: "RULE:gone", Text: "Menu"}, "menu: MENU"},
		"old_button_unknown":         {bot.Turn{Kind: bot.Postback, Payload: "OLD"}, missed("fallback", "MISSED 1")},
		"payload_counts_case":        {bot.Turn{Kind: bot.Postback, Payload: "hOURS"}, missed("fallback", "MISSED 1")},
		"payload_of_a_text_is_none":  {bot.Turn{Text: "x", Payload: "HOURS"}, missed("fallback", "MISSED 1")},
		"get_started": {
			bot.Turn{Kind: bot.Postback, Payload: bot.PayloadGetStarted, First: true},
			"get_started: STARTED | image https://example.com/a.png",
		},

		"media_by_type":         {bot.Turn{Kind: bot.Media, Payload: "image"}, "photo: PHOTO"},
		"like_is_a_sticker":     {bot.Turn{Kind: bot.Media, Payload: bot.LikeMedia}, "thanks:"},
		"media_unknown":         {bot.Turn{Kind: bot.Media, Payload: "audio", Misses: 2}, "fallback: MISSED 1"},
		"media_first":           {bot.Turn{Kind: bot.Media, Payload: "audio", First: true}, "greeting: GREETING"},
		"media_after_people":    {bot.Turn{Kind: bot.Media, Payload: "audio", Returned: true}, "fallback: MISSED 1"},
		"referral_known":        {bot.Turn{Kind: bot.Referral, Payload: "hours-mail"}, "hours: HOURS"},
		"referral_by_payload":   {bot.Turn{Kind: bot.Referral, Payload: "HOURS"}, "hours: HOURS"},
		"referral_unknown":      {bot.Turn{Kind: bot.Referral, Payload: "x", Text: "hello", First: true}, ":"},
		"referral_without_ref":  {bot.Turn{Kind: bot.Referral}, ":"},
		"ref_is_no_tap":         {bot.Turn{Kind: bot.Postback, Payload: "hours-mail"}, missed("fallback", "MISSED 1")},
		"miss_1":                {text("x"), missed("fallback", "MISSED 1")},
		"miss_2":                {bot.Turn{Text: "x", Misses: 1}, missed("fallback", "MISSED 2")},
		"miss_3":                {bot.Turn{Text: "x", Misses: 2}, "fallback: MISSED 3 (handoff) (missed)"},
		"last_fallback_stays":   {bot.Turn{Text: "x", Misses: 99}, "fallback: MISSED 3 (handoff) (missed)"},
		"negative_misses":       {bot.Turn{Text: "x", Misses: -1}, missed("fallback", "MISSED 1")},
		"returned_unknown":      {bot.Turn{Text: "x", Returned: true, Misses: 2}, "returned: RETURNED"},
		"returned_shortcut":     {bot.Turn{Text: "menu", Returned: true}, "menu: MENU"},
		"returned_rule":         {bot.Turn{Text: "your hours", Returned: true}, "hours: HOURS"},
		"empty_text":            {text(""), missed("fallback", "MISSED 1")},
		"unknown_locale":        {bot.Turn{Text: "hours", Locale: "de_DE"}, "hours: HOURS"},
		"locale_that_is_broken": {bot.Turn{Text: "hours", Locale: "\xff%"}, "hours: HOURS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := line(s.Reply(tt.turn)); got != tt.want {
				t.Errorf("Reply(%+v) = %q, want %q", tt.turn, got, tt.want)
			}
		})
	}
}

// line writes an answer as "rule: text | text (handoff) (missed)".
func line(a bot.Answer) string {
	var said []string
	for _, m := range a.Messages {
		switch {
		case m.Media != nil:
			said = append(said, m.Media.Type+" "+m.Media.URL)
		case len(m.Cards) > 0:
			said = append(said, fmt.Sprintf("%d cards", len(m.Cards)))
		default:
			said = append(said, m.Text)
		}
	}
	s := strings.TrimSpace(a.Rule + ": " + strings.Join(said, " | "))
	if a.Handoff {
		s += " (handoff)"
	}
	if a.Missed {
		s += " (missed)"
	}
	return s
}

// Sections that a script leaves out are filled in by others.
func TestReplyWithoutOptionalSections(t *testing.T) {
	t.Parallel()
	s := load(t, `
version: 1
greeting: {keywords: [hello], say: GREETING}
rules:
  - {id: media, media: [any], payloads: [P], say: ANY}
fallback: {say: MISSED}
`)
	tests := map[string]struct {
		turn bot.Turn
		want string
	}{
		"get_started_is_the_greeting": {bot.Turn{Kind: bot.Postback, Payload: bot.PayloadGetStarted}, "greeting: GREETING"},
		"any_media":                   {bot.Turn{Kind: bot.Media, Payload: "hologram"}, "media: ANY"},
		"returned_is_the_fallback":    {bot.Turn{Text: "x", Returned: true}, "fallback: MISSED (missed)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := line(s.Reply(tt.turn)); got != tt.want {
				t.Errorf("Reply(%+v) = %q, want %q", tt.turn, got, tt.want)
			}
		})
	}
	own := load(t, rest+`media_fallback: {say: MEDIA}
rules: [{id: start, payloads: [GET_STARTED], say: START}]`)
	for want, turn := range map[string]bot.Turn{
		"media_fallback: MEDIA": {Kind: bot.Media, Payload: "audio", First: true},
		"start: START":          {Kind: bot.Postback, Payload: bot.PayloadGetStarted, First: true},
	} {
		if got := line(own.Reply(turn)); got != want {
			t.Errorf("Reply(%+v) = %q, want %q", turn, got, want)
		}
	}
}

// The example holds all that a script can say.
func TestFullScript(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../testdata/bot/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, string(src))
	if got, want := s.Locales(), []string{"en", "de"}; !cmp.Equal(got, want) || !s.UsesNames() {
		t.Errorf("Locales, UsesNames = %v, %v, want %v, true", got, s.UsesNames(), want)
	}
	person := bot.Choice{Title: "Talk to a human", Payload: "USHER_HANDOFF"}
	tests := map[string]struct {
		turn bot.Turn
		want bot.Answer
	}{
		"greeting": {
			bot.Turn{Text: "hello", Names: bot.Names{FirstName: "Ada", PageName: "North"}},
			bot.Answer{Rule: "greeting", Messages: []bot.Message{{
				Text: "Hello Ada, this is North. How can I help?",
				QuickReplies: []bot.Choice{
					{Title: "Opening hours", Payload: "RULE:hours"}, {Title: "Our shops", Payload: "RULE:shops"}, person,
				},
			}}},
		},
		"buttons_in_german": {
			bot.Turn{Text: "when?", Locale: "de_AT"},
			bot.Answer{Rule: "when", Messages: []bot.Message{{
				Text: "Wir haben Montag bis Freitag von 9 bis 18 Uhr geöffnet.",
				Buttons: []bot.Button{
					{Title: "See the map", URL: "https://example.com/map"},
					{Title: "Our shops", Payload: "RULE:shops"},
					{Title: "Talk to a human", Payload: "USHER_HANDOFF"},
				},
			}}},
		},
		"cards": {
			bot.Turn{Text: "Shops near me"},
			bot.Answer{Rule: "shops", Messages: []bot.Message{{
				Cards: []bot.Card{
					{
						Title: "North", Subtitle: "1 North Street",
						ImageURL: "https://example.com/north.jpg", URL: "https://example.com/north",
						Buttons: []bot.Button{{Title: "Opening hours", Payload: "RULE:hours"}},
					},
					{
						Title: "South", Subtitle: "2 South Street",
						Buttons: []bot.Button{{Title: "Call us", URL: "https://example.com/call"}},
					},
				},
				QuickReplies: []bot.Choice{person},
			}}},
		},
		"file": {
			bot.Turn{Kind: bot.QuickReply, Payload: "ORDER"},
			bot.Answer{Rule: "order", Messages: []bot.Message{
				{Text: "What is the number of your order?"},
				{Media: &bot.File{Type: "file", URL: "https://example.com/where-is-my-number.pdf"}},
			}},
		},
		"third_miss": {
			bot.Turn{Text: "x", Misses: 2},
			bot.Answer{Rule: "fallback", Handoff: true, Missed: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, s.Reply(tt.turn)); diff != "" {
				t.Errorf("Reply(%+v) (-want +got):\n%s", tt.turn, diff)
			}
		})
	}
}

// What the Page shows beside a conversation comes in each locale of the script.
func TestProfiles(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../testdata/bot/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	menu := func(hours string) []bot.Button {
		return []bot.Button{
			{Title: hours, Payload: "RULE:hours"}, {Title: "My order", Payload: "MENU_ORDER"}, {Title: "Website", URL: "https://example.com"},
		}
	}
	person := bot.Choice{Title: "I would like to talk to a person", Payload: "USHER_HANDOFF"}
	want := []bot.Profile{
		{
			Locale: "en", Greeting: "Ask Corner Shop anything.", Menu: menu("Opening hours"),
			IceBreakers: []bot.Choice{{Title: "When are you open?", Payload: "RULE:hours"}, person},
		},
		{
			Locale: "de", Greeting: "Frag Corner Shop, was du willst.", Menu: menu("Öffnungszeiten"),
			IceBreakers: []bot.Choice{{Title: "Wann habt ihr offen?", Payload: "RULE:hours"}, person},
		},
	}
	if diff := cmp.Diff(want, load(t, string(src)).Profiles("Corner Shop")); diff != "" {
		t.Errorf("Profiles() (-want +got):\n%s", diff)
	}
	if got := load(t, rest).Profiles("Corner Shop"); got != nil {
		t.Errorf("Profiles() = %v, want nil without the section", got)
	}
}

func TestLocales(t *testing.T) {
	t.Parallel()
	s := load(t, `
version: 1
default_locale: en_US
greeting: {keywords: [hello], say: {text: {en-US: en, de: de, de_CH: ch, pt_BR: br, zh_CN: cn, nb: nb, ru: ru, cx_PH: cx, nl: nl}}}
rules: [{id: some, keywords: [some], say: {text: {en_US: en, de: de}}}, {id: swiss, keywords: [swiss], say: {text: {en_US: en, de_CH: ch}}}]
fallback: {say: for all}
`)
	if got, want := s.Locales(), []string{"en_US", "cx_PH", "de", "de_CH", "nb", "nl", "pt_BR", "ru", "zh_CN"}; !cmp.Equal(got, want) {
		t.Errorf("Locales() = %v, want %v", got, want)
	}
	tests := map[string]struct{ text, locale, want string }{
		"unknown":              {"hello", "", "en"},
		"exact":                {"hello", "de_CH", "ch"},
		"language":             {"hello", "de_AT", "de"},
		"language_alone":       {"hello", "de", "de"},
		"other_country":        {"hello", "pt_PT", "br"},
		"default_in_other":     {"hello", "en_GB", "en"},
		"same_language":        {"hello", "no_NO", "nb"},
		"other_script":         {"hello", "zh_TW", "en"},
		"related_language":     {"hello", "uk_UA", "en"},
		"neighbour_language":   {"hello", "af_ZA", "en"},
		"only_meta_knows":      {"hello", "cx_PH", "cx"},
		"not_for_filipinos":    {"hello", "fil_PH", "en"},
		"nobody_knows":         {"hello", "xx_YY", "en"},
		"missing_in_this_text": {"some", "pt_BR", "en"},
		"language_in_this":     {"some", "de_CH", "de"},
		"country_in_this":      {"swiss", "de_DE", "ch"},
		"no_locales_in_this":   {"x", "de_CH", "for all"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.Reply(bot.Turn{Text: tt.text, Locale: tt.locale}).Messages[0].Text
			if got != tt.want {
				t.Errorf("Reply(%q, %s) says %q, want %q", tt.text, tt.locale, got, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text  string
		names bot.Names
		want  string
	}{
		"known":                  {"Hi {{first_name|there}}!", bot.Names{FirstName: "Ada"}, "Hi Ada!"},
		"spaces_inside":          {"Hi {{ first_name | there }}!", bot.Names{FirstName: " Ada\n"}, "Hi Ada!"},
		"unknown":                {"Hi {{first_name|there}}!", bot.Names{}, "Hi there!"},
		"blank_is_unknown":       {"Hi {{first_name|there}}!", bot.Names{FirstName: " "}, "Hi there!"},
		"unknown_no_word":        {"Hello, {{first_name}}!", bot.Names{}, "Hello!"},
		"unknown_in_the_middle":  {"Thanks, {{first_name}}, bye", bot.Names{}, "Thanks, bye"},
		"unknown_at_the_start":   {"{{first_name}}, welcome", bot.Names{}, "welcome"},
		"unknown_on_a_new_line":  {"A,\n{{first_name}}, welcome", bot.Names{}, "A,\nwelcome"},
		"page":                   {"{{page_name|Us}}: {{first_name}} {{page_name}}", bot.Names{FirstName: "Ada", PageName: "P"}, "P: Ada P"},
		"a_name_is_no_template":  {"Hi {{first_name}}", bot.Names{FirstName: "{{page_name}}", PageName: "P"}, "Hi {{page_name}}"},
		"closing_braces_are_not": {"a }} b {{first_name|c}}", bot.Names{}, "a }} b c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := load(t, rest+"rules: [{id: a, keywords: [a], say: {text: "+fmt.Sprintf("%q", tt.text)+"}}]")
			for range 2 { // the script itself stays as it is
				if got := s.Reply(bot.Turn{Text: "a", Names: tt.names}).Messages[0].Text; got != tt.want {
					t.Errorf("%q with %+v says %q, want %q", tt.text, tt.names, got, tt.want)
				}
			}
		})
	}
}

func TestUsesNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"Hi": false, "Hi {{page_name}}": false, "Hi {{first_name}}": true} {
		s := load(t, rest+"rules: [{id: a, keywords: [a], say: {text: {en: x, de: "+fmt.Sprintf("%q", text)+"}}}]")
		if got := s.UsesNames(); got != want {
			t.Errorf("UsesNames() of %q = %v, want %v", text, got, want)
		}
	}
}

// A text that a name makes too long is cut where the eye sees a character end.
func TestTextsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	s := load(t, rest+`
rules:
  - id: card
    keywords: [card]
    say: {cards: [{title: "{{first_name|x}}", subtitle: "{{page_name|x}}"}]}
  - {id: text, keywords: [text], say: {text: "{{first_name|x}}"}}
  - {id: buttons, keywords: [buttons], say: {text: "{{first_name|x}}", buttons: [{title: T, goto: card}]}}
`)
	const fill = 77 // characters before the one that matters, of 80 with it and "…"
	tests := map[string]struct{ tail, want string }{
		"fits":              {"abc", "abc"},
		"letters":           {"abcd", "ab…"},
		"mark":              {"ae\u0301\u0301z", "a…"},
		"skin_tone":         {"a👋🏽z", "a…"},
		"joined_emoji":      {"a👩‍💻z", "a…"},
		"emoji_after_joint": {"👩‍💻zz", "…"},
		"variant":           {"a❤️z", "a…"},
		"flag":              {"a🇩🇪z", "a…"},
		"flag_that_is_left": {"🇩🇪🇫🇷", "🇩🇪…"},
		"thai":              {"aครัz", "aค…"},
		"thai_mark":         {"aรัz", "a…"},
		"space":             {"a bc", "a…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fill := strings.Repeat("y", fill)
			got := s.Reply(bot.Turn{Text: "card", Names: bot.Names{FirstName: fill + tt.tail}}).Messages[0].Cards[0].Title
			if want := fill + tt.want; got != want {
				t.Errorf("%q is cut to %q, want %q", fill+tt.tail, got, want)
			}
		})
	}
	heap := "x" + strings.Repeat("\u0301", 3000)
	for rule, limit := range map[string]int{"text": 2000, "buttons": 640} {
		m := s.Reply(bot.Turn{Text: rule, Names: bot.Names{FirstName: heap}}).Messages[0]
		if got := utf8.RuneCountInString(m.Text); got != limit {
			t.Errorf("%s: a heap of marks is cut to %d characters, want %d", rule, got, limit)
		}
	}
}

// The longest keyword wins, whatever stands around it: the index must find what
// trying all keywords one after the other finds.
func TestLongestKeyword(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "bb", "ccc", "人", "工", "ก", "👍", "d1"})
		phrase := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "words"), " ")
		})
		keywords := rapid.SliceOfNDistinct(phrase, 1, 12, spell).Draw(t, "keywords")
		src := bytes.NewBufferString(rest + "rules:\n")
		for i, k := range keywords {
			fmt.Fprintf(src, "  - {id: r%d, keywords: [%q], say: A}\n", i, k)
		}
		s, err := bot.Load("b", src.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		message := strings.Join(rapid.SliceOfN(word, 1, 8).Draw(t, "message"), " ")
		want, longest := "fallback", 0
		for i, k := range keywords {
			size := utf8.RuneCountInString(strings.ReplaceAll(k, " ", ""))
			if strings.Contains(spell(message), spell(k)) && size > longest {
				want, longest = fmt.Sprintf("r%d", i), size
			}
		}
		if got := s.Reply(bot.Turn{Text: message}).Rule; got != want {
			t.Fatalf("Reply(%q) with %q = %s, want %s", message, keywords, got, want)
		}
	})
}

// spell writes the words of a phrase so that one phrase contains another exactly
// if its words do.
func spell(phrase string) string { return " " + phrase + " " }

func FuzzLoad(f *testing.F) {
	full, err := os.ReadFile("../testdata/bot/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full), "when?", "Ada", "de_DE")
	f.Add(script, "opening hours on sunday", strings.Repeat("é", 3000), "")
	f.Add(rest, "hello", "", "en_US")
	for _, odd := range []string{"&a [*a]", "a: &a {<<: *a}", "- - - ? : {", "version: !!str 1\n", "%YAML 1.2\n---\na: b", "a: |2-\n   x", "\"\\uD800\""} {
		f.Add(odd, "", "", "")
	}
	f.Fuzz(func(t *testing.T, src, text, name, locale string) {
		s, err := bot.Load("b", []byte(src))
		if err != nil {
			return
		}
		for _, kind := range []bot.TurnKind{bot.Text, bot.QuickReply, bot.Postback, bot.Media, bot.Referral} {
			for _, first := range []bool{true, false} {
				a := s.Reply(bot.Turn{
					Kind: kind, Text: text, Payload: text, Locale: locale, First: first,
					Names: bot.Names{FirstName: name, PageName: name},
				})
				if a.Rule == "" && kind != bot.Referral {
					t.Fatalf("no rule answers %q", text)
				}
				for i, m := range a.Messages {
					if problem := beyond(m, i == len(a.Messages)-1); problem != "" {
						t.Fatalf("%s: %+v", problem, m)
					}
				}
			}
		}
		for _, p := range s.Profiles(name) {
			if problem := beyondProfile(p); problem != "" {
				t.Fatalf("%s: %+v", problem, p)
			}
		}
	})
}

// beyondProfile tells what of a profile Meta would refuse, "" for nothing.
func beyondProfile(p bot.Profile) string {
	beyond := func(s string, limit int) bool { return s == "" || utf8.RuneCountInString(s) > limit }
	if p.Greeting != "" && beyond(p.Greeting, 160) {
		return "greeting"
	}
	for _, q := range p.IceBreakers {
		if beyond(q.Title, 80) || beyond(q.Payload, 1000) {
			return "ice breaker " + q.Title
		}
	}
	for _, b := range p.Menu {
		if beyond(b.Title, 30) || (b.URL == "") == (b.Payload == "") || utf8.RuneCountInString(b.Payload) > 1000 {
			return "menu item " + b.Title
		}
	}
	if len(p.IceBreakers) > 4 || len(p.Menu) > 18 {
		return "too many"
	}
	return ""
}

// beyond tells what of a message Meta would refuse, "" for nothing.
func beyond(m bot.Message, last bool) string {
	within := func(s string, limit int) bool {
		n := utf8.RuneCountInString(s)
		return n > 0 && n <= limit
	}
	buttons := func(bs []bot.Button) bool {
		for _, b := range bs {
			if !within(b.Title, 20) || (b.URL == "") == (b.Payload == "") || utf8.RuneCountInString(b.Payload) > 1000 {
				return false
			}
		}
		return len(bs) <= 3
	}
	says := 0
	for _, has := range []bool{m.Text != "", len(m.Cards) > 0, m.Media != nil} {
		if has {
			says++
		}
	}
	textLimit := 2000
	if len(m.Buttons) > 0 {
		textLimit = 640
	}
	switch {
	case says != 1:
		return "not exactly one of text, cards and media"
	case m.Text != "" && !within(m.Text, textLimit):
		return "text too long"
	case !buttons(m.Buttons) || len(m.Buttons) > 0 && m.Text == "":
		return "buttons"
	case len(m.QuickReplies) > 13 || len(m.QuickReplies) > 0 && !last:
		return "quick replies"
	case len(m.Cards) > 10:
		return "too many cards"
	case m.Media != nil && !strings.HasPrefix(strings.ToLower(m.Media.URL), "https://"):
		return "media that is not https"
	}
	for _, q := range m.QuickReplies {
		if !within(q.Title, 20) || !within(q.Payload, 1000) {
			return "quick reply " + q.Title
		}
	}
	for _, c := range m.Cards {
		if !within(c.Title, 80) || utf8.RuneCountInString(c.Subtitle) > 80 || !buttons(c.Buttons) {
			return "card " + c.Title
		}
	}
	return ""
}

func BenchmarkReply(b *testing.B) {
	src := bytes.NewBufferString(rest + "rules:\n")
	for i := range 1000 {
		fmt.Fprintf(src, "  - {id: r%[1]d, keywords: [keyword %[1]d, word%[1]d], match: {exact: [whole %[1]d]}, say: {text: {en: A, de: B}}}\n", i)
	}
	big := load(b, src.String())
	full, err := os.ReadFile("../testdata/bot/full.yaml")
	if err != nil {
		b.Fatal(err)
	}
	small := load(b, string(full))
	ada := bot.Names{FirstName: "Ada", PageName: "North"}
	for name, bench := range map[string]struct {
		s *bot.Script
		t bot.Turn
	}{
		"exact_of_1000_rules":    {big, bot.Turn{Text: "Whole 500!"}},
		"contains_of_1000_rules": {big, bot.Turn{Text: "could I please have keyword 500 of this?"}},
		"nothing_of_1000_rules":  {big, bot.Turn{Text: "could I please have something of this?"}},
		"payload":                {big, bot.Turn{Kind: bot.QuickReply, Payload: "RULE:r500"}},
		"locale":                 {big, bot.Turn{Kind: bot.QuickReply, Payload: "RULE:r500", Locale: "de_DE"}},
		"names":                  {small, bot.Turn{Text: "hello", Names: ada}},
		"pattern":                {small, bot.Turn{Text: "are there shops near here?"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.s.Reply(bench.t)
			}
		})
	}
}
