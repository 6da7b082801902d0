package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// picturesIn names the directory into which pictures of the page are written; none
// are if it is not set. See make screenshots.
const picturesIn = "DEMO_SCREENSHOTS"

// Bounds of a test in the browser.
const (
	tabLife = 2 * time.Minute       // of a whole test, on a busy machine
	glance  = 20 * time.Millisecond // between two looks at the page
)

// browser is a Chromium; ctx is chromedp's handle of it.
type browser struct{ ctx context.Context } //nolint:containedctx // as chromedp wants it

// The one browser of all tests: each opens tabs in it.
var (
	theBrowser  = sync.OnceValues(startBrowser)
	shutBrowser = func() {} // set once it has started
)

// chromium returns the browser, and skips the test where there is none on PATH.
func chromium(t *testing.T) browser {
	t.Helper()
	br, err := theBrowser()
	if errors.Is(err, osexec.ErrNotFound) {
		t.Skipf("no Chromium: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return br
}

// startBrowser starts a Chromium that can reach nothing but this machine.
func startBrowser() (browser, error) {
	var path string
	var err error
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = osexec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return browser{}, err
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), flags...) // it outlives every test
	ctx, shut := chromedp.NewContext(alloc)
	shutBrowser = func() { shut(); stop() }
	if err := chromedp.Do(ctx); err != nil {
		shutBrowser()
		return browser{}, fmt.Errorf("start %s: %w", path, err)
	}
	return browser{ctx}, nil
}

// tests are those of this package; the browser ends with them.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	shutBrowser()
	return code
}

// screen is what a page is looked at on.
type screen struct {
	width, height int64
	dark          bool
}

var (
	wide   = screen{width: 1440, height: 900}
	narrow = screen{width: 390, height: 844}
)

// in returns the screen with another theme.
func (s screen) in(dark bool) screen {
	s.dark = dark
	return s
}

// tab is a tab of the browser with the demo page in it. What must never happen
// there fails the test.
type tab struct {
	*testing.T

	ctx context.Context //nolint:containedctx // chromedp's handle of a tab is a context

	mu    sync.Mutex
	wrong []string
}

// open opens the page of a handler.
func (br browser) open(t *testing.T, h http.Handler, s screen) *tab {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections() // streams never end by themselves
		server.Close()
	})
	return br.at(t, server.URL, s)
}

// at opens the page at an address.
func (br browser) at(t *testing.T, home string, s screen) *tab {
	t.Helper()
	ctx, shut := chromedp.NewContext(br.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(shut)
	b := &tab{T: t, ctx: ctx}
	b.do() // a first call must have no deadline
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.wrong {
			t.Errorf("in the browser: %s", w)
		}
	})
	var stop context.CancelFunc
	b.ctx, stop = context.WithTimeout(ctx, tabLife)
	t.Cleanup(stop)
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	b.do(chromedp.EmulateViewport(s.width, s.height), chromedp.Navigate(home))
	b.wait(`document.querySelector('#customers li')`)
	return b
}

// watch notes errors, violations of the page's policy, and requests that leave
// the machine.
func (b *tab) watch(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.note("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.note("console: %s", e.Args[0].Value)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !told(e.Entry) {
			b.note("log: %s %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || (u.Scheme != "data" && u.Hostname() != "127.0.0.1") {
			b.note("a request for %s", e.Request.URL)
		}
	}
}

func (b *tab) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// told tells whether an error is one that the page tells people about: an act was
// refused, or the server is gone, whose icon a browser may ask for late.
func told(e *log.Entry) bool {
	return e.Source == log.EntrySourceNetwork && (strings.HasSuffix(e.URL, "/act") || strings.HasSuffix(e.URL, "/events") || strings.HasSuffix(e.URL, "/icon.svg"))
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// call calls a command of the browser's.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.Helper()
	r, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// eval returns what an expression on the page is.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression on the page holds. It asks again and again: what
// chromedp has for it needs an eval on the page, which the page's policy forbids.
func (b *tab) wait(expression string) {
	b.Helper()
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	for !eval[bool](b, "Boolean("+expression+")") {
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			b.Fatalf("it never came that %s", expression)
		}
	}
}

// js quotes a text for an expression.
func js(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(quoted)
}

// shows waits until an element's text contains what is wanted.
func (b *tab) shows(selector, want string) {
	b.Helper()
	b.wait(fmt.Sprintf("document.querySelector(%s)?.innerText.includes(%s)", js(selector), js(want)))
}

// click clicks the element of a selector that has the text.
func (b *tab) click(selector, text string) {
	b.Helper()
	found := fmt.Sprintf("[...document.querySelectorAll(%s)].findLast(el => el.checkVisibility() && !el.disabled && (el.innerText + ' ' + (el.ariaLabel ?? '')).includes(%s))", js(selector), js(text))
	b.wait(found)
	eval[any](b, "("+found+").click()")
}

// writes puts a text into the field of a selector, and sends it.
func (b *tab) writes(selector, text string) {
	b.Helper()
	b.types(selector, text)
	b.press("Enter")
}

// types puts a text into the field of a selector.
func (b *tab) types(selector, text string) {
	b.Helper()
	b.wait(fmt.Sprintf("document.querySelector(%s)?.checkVisibility()", js(selector)))
	eval[any](b, fmt.Sprintf("document.querySelector(%s).focus()", js(selector)))
	call(b, input.InsertText, input.InsertTextParams{Text: text})
}

// press presses keys where the focus is, as a person does: what the page prevents
// does not happen. chromedp's own types the character all the same.
func (b *tab) press(keys ...string) {
	b.Helper()
	for _, key := range keys {
		text, code := key, int64(0)
		switch key {
		case "Enter":
			text, code = "\r", 13
		case "Tab":
			text, code = "", 9
		case "Escape":
			text, code = "", 27
		}
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Code: key, Text: text, WindowsVirtualKeyCode: code})
		call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: key, Code: key, WindowsVirtualKeyCode: code})
	}
}

// scrolls moves an element to where it is not at its end. The page knows at once.
func (b *tab) scrolls(selector string, top int) {
	b.Helper()
	eval[any](b, fmt.Sprintf("(el => { el.scrollTop = %d; el.dispatchEvent(new Event('scroll')); })(document.querySelector(%s))", top, js(selector)))
}

// drawn waits until the page was drawn as it is, and told where it was scrolled to.
func (b *tab) drawn() {
	b.Helper()
	const frames = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](frames, chromedp.EvalAwaitPromise)); err != nil {
		b.Fatal(err)
	}
}

// picture writes what the tab shows, if pictures are wanted.
func (b *tab) picture(name string) {
	b.Helper()
	dir := os.Getenv(picturesIn)
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
}
