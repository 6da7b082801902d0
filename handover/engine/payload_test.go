package engine_test

import (
	"testing"

	"usher/bot"
	"usher/handover"
)

// What the script's quick replies send is what the handover understands.
func TestScriptAndHandoverAgreeOnPayloads(t *testing.T) {
	t.Parallel()
	s, err := bot.Load("bot.yaml", []byte(`
version: 1
greeting:
  keywords: [hello]
  say: [{text: Hi, quick_replies: [{title: A person, handoff: true}, {title: The bot, back_to_bot: true}]}]
fallback: {say: [{text: What?}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	said := s.Reply(bot.Turn{Text: "hello"}).Messages[0].QuickReplies
	if got, want := said[0].Payload, handover.PayloadHandoff; got != want {
		t.Errorf("handoff sends %q, want %q", got, want)
	}
	if got, want := said[1].Payload, handover.PayloadBack; got != want {
		t.Errorf("back_to_bot sends %q, want %q", got, want)
	}
}
