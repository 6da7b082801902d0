package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"usher/config"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/simulator"
)

// player lets people act on a stage, by typing or by a script, and prints what
// happens: the phone, the webhooks, the decisions and the calls.
type player struct {
	*stage

	out      *printer
	customer *simulator.Customer
	name     string
}

// stagePSID is the customer whom one plays.
const stagePSID messenger.PSID = "7000000000000001"

// printer prints what happens, line by line.
type printer struct {
	mu      sync.Mutex
	w       io.Writer
	colours bool
	wire    bool // webhooks and calls too
}

// Colours of a terminal.
const (
	dim    = "\x1b[2m"
	bold   = "\x1b[1m"
	blue   = "\x1b[34m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
)

func (o *printer) print(colour, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if o.colours && colour != "" {
		text = colour + text + "\x1b[0m"
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintln(o.w, text)
}

// said prints what stands on the phone.
func (o *printer) said(colour, who, text string) { o.print(colour, "%8s │ %s", who, text) }

// events prints what Meta delivers.
func (o *printer) events(events []messenger.Event) {
	if !o.wire {
		return
	}
	for i := range events {
		channel := simulator.Messaging
		if events[i].Standby {
			channel = simulator.Standby
		}
		o.print(dim, "%10s webhook   %s on %s", "", events[i].Kind, channel)
	}
}

// meta prints the calls that Meta got from us.
func (o *printer) meta(e simulator.Entry) {
	if e.Call != nil && e.Call.App == stageApp {
		o.call(*e.Call)
	}
}

func (o *printer) call(c simulator.Call) {
	if o.wire {
		o.print(dim, "%10s graph     %s", "", describe(c))
	}
	if c.OK() && c.Edge == simulator.EdgeMessages && c.Action == "" {
		o.said(green, "Bot", phone(c))
	}
}

// describe says what a call asked and got.
func describe(c simulator.Call) string {
	parts := []string{c.Method, c.Edge}
	if c.Control != "" {
		parts = append(parts, "thread_control: "+c.Control)
	}
	if c.Target != "" {
		parts = append(parts, "to "+string(c.Target))
	}
	parts = append(parts, fmt.Sprintf("→ %d", c.Status))
	if c.Error != "" {
		parts = append(parts, c.Error)
	}
	return strings.Join(parts, " ")
}

// phone renders a message as a phone shows it, quick replies in brackets, buttons
// in double ones.
func phone(c simulator.Call) string {
	parts := []string{c.Text}
	for _, card := range c.Cards {
		parts = append(parts, "▭ "+card)
	}
	if c.Attachment != "" {
		parts = append(parts, "⎙ "+c.Attachment)
	}
	for _, b := range c.Buttons {
		parts = append(parts, "⟦"+b+"⟧")
	}
	for _, q := range c.QuickReplies {
		parts = append(parts, "["+q+"]")
	}
	text := strings.Join(parts, "  ")
	return strings.ReplaceAll(strings.TrimSpace(text), "\n\n", "  ")
}

// line prints a decision.
func (o *printer) line(l engine.Line) {
	colour := blue
	if l.Alarm != "" {
		colour = red
	}
	o.print(colour, "%10s decision  %s", "", story(l))
}

// says lets the customer write.
func (p *player) says(ctx context.Context, text string) error {
	p.out.said(bold, p.name, text)
	_, err := p.customer.Says(text) //nolint:contextcheck // Meta delivers in its own time
	return p.then(ctx, err)
}

// taps lets the customer tap a quick reply, or else a button or a menu item.
func (p *player) taps(ctx context.Context, title string) error {
	p.out.said(bold, p.name, "taps ["+title+"]")
	var err error
	for _, tap := range []func(string) (messenger.MessageID, error){p.customer.TapsQuickReply, p.customer.TapsButton, p.customer.TapsMenu} {
		if _, err = tap(title); !errors.Is(err, simulator.ErrNotThere) {
			break
		}
	}
	return p.then(ctx, err)
}

// agent lets an agent answer in the Page Inbox.
func (p *player) agent(ctx context.Context, text string) error {
	p.out.said(yellow, "Agent", text)
	_, err := p.meta.Agent().Replies(stagePSID, text) //nolint:contextcheck // Meta delivers in its own time
	return p.then(ctx, err)
}

// done lets an agent file the thread as done.
func (p *player) done(ctx context.Context) error {
	p.out.said(yellow, "Agent", "clicks Done")
	return p.then(ctx, p.meta.Agent().Done(stagePSID)) //nolint:contextcheck // Meta delivers in its own time
}

// later puts the clock forward.
func (p *player) later(ctx context.Context, text string) error {
	d, err := config.ParseDuration(text)
	if err != nil {
		return err
	}
	p.out.print(bold, "%10s … %s later", "", text)
	return p.forward(ctx, d)
}

// who prints who has the thread.
func (p *player) who(ctx context.Context) error {
	snap, err := p.thread(ctx, messenger.ThreadKey{Page: stagePage, PSID: stagePSID})
	if err != nil {
		return err
	}
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	writeState(p.out.w, snap)
	return nil
}

func (p *player) then(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return p.settle(ctx)
}

const playHelp = `  text          the customer writes it        /agent text   an agent answers in the Page Inbox
  /tap title    she taps a button             /done         the agent clicks Done
  /who          who has the thread, and why   /later 12h    time passes
  /help         this                          /quit         the end`

// play obeys what is typed until it ends.
func (p *player) play(ctx context.Context, in io.Reader, prompt string) error {
	return obeyTyped(ctx, in, p.out, prompt, p)
}

// actor does what people type.
type actor interface {
	says(ctx context.Context, text string) error
	taps(ctx context.Context, title string) error
	agent(ctx context.Context, text string) error
	done(ctx context.Context) error
	later(ctx context.Context, duration string) error
	who(ctx context.Context) error
}

// obeyTyped lets a do what is typed until that ends.
func obeyTyped(ctx context.Context, in io.Reader, out *printer, prompt string, a actor) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		if prompt != "" {
			out.mu.Lock()
			fmt.Fprint(out.w, prompt)
			out.mu.Unlock()
		}
		select {
		case line, ok := <-lines:
			if !ok || strings.TrimSpace(line) == "/quit" {
				return nil
			}
			if err := obey(ctx, out, a, strings.TrimSpace(line)); err != nil {
				if ctx.Err() != nil {
					return nil //nolint:nilerr // it was stopped
				}
				out.print(red, "%10s %v", "", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// obey carries out one typed line.
func obey(ctx context.Context, out *printer, a actor, line string) error {
	command, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "":
		return nil
	case command == "/tap" && rest != "":
		return a.taps(ctx, rest)
	case command == "/agent" && rest != "":
		return a.agent(ctx, rest)
	case command == "/done":
		return a.done(ctx)
	case command == "/later" && rest != "":
		return a.later(ctx, rest)
	case command == "/who":
		return a.who(ctx)
	case strings.HasPrefix(line, "/"):
		out.print("", "%s", playHelp)
		return nil
	}
	return a.says(ctx, line)
}
