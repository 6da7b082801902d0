package scene_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"usher/messenger"
	"usher/messenger/simulator"
	"usher/messenger/simulator/scene"
)

// echoBot says what it is told on messaging, after its webhook has answered. A
// restless one also answers itself.
type echoBot struct {
	meta     *simulator.Meta
	restless bool
	talking  sync.WaitGroup
}

func (b *echoBot) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		Entry []struct {
			Messaging []struct {
				Sender, Recipient struct{ ID messenger.PSID }
				Message           struct {
					Text   string `json:"text"`
					IsEcho bool   `json:"is_echo"`
				} `json:"message"`
			} `json:"messaging"`
		} `json:"entry"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		return
	}
	for _, entry := range body.Entry {
		for _, e := range entry.Messaging {
			to := e.Sender.ID
			if e.Message.IsEcho {
				to = e.Recipient.ID
			}
			if e.Message.Text != "" && (b.restless || !e.Message.IsEcho) {
				b.talking.Go(func() {
					_, _ = b.meta.OtherApp(page().App).Do(simulator.Deed{Does: "sends", Customer: to, Text: e.Message.Text}) // what is refused is in the ledger
				})
			}
		}
	}
}

func playWith(t *testing.T, bot *echoBot, patience time.Duration, src string) (string, error) {
	t.Helper()
	opt := page()
	opt.Webhook = bot
	stage, err := scene.Open(scene.Options{Page: opt, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	bot.meta = stage.Meta()
	defer bot.talking.Wait()
	defer stage.Close()
	sc, err := scene.Parse("s.txt", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return stage.Play(t.Context(), sc)
}

// A bot that answers in its own time is waited for, and its calls are lines.
func TestARealBotIsWaitedFor(t *testing.T) {
	t.Parallel()
	want := `10:00 ann says "hello"
> to usher, messaging: message "hello"
> usher sends "hello"
> to usher, messaging: echo of usher "hello"
10:01 agent replies "Kim here"
> to usher, standby: echo of inbox "Kim here"
> ann's thread: inbox until +1d 10:01
`
	got, err := playWith(t, &echoBot{}, 5*time.Second, want)
	if diff := scene.Diff("s.txt", want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// One that answers itself for ever is not.
func TestARestlessBotIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	_, err := playWith(t, &echoBot{restless: true}, 10*time.Millisecond, "10:00 ann says hello\n")
	if !errors.Is(err, scene.ErrRestless) || !strings.HasPrefix(err.Error(), "s.txt:1: ") {
		t.Errorf("Play = %v, want ErrRestless", err)
	}
}

// Play ends with its context.
func TestPlayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stage, err := scene.Open(scene.Options{Page: page(), Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	sc, err := scene.Parse("s.txt", []byte("10:00 ann says hello\n> never\n> comes\n> this\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := stage.Play(ctx, sc); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Play = %v, want the context's end", err)
	}
}
