package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Bounds of an act.
const (
	maxAct  = 64 << 10 // bytes
	maxText = 2000     // characters, as in Messenger
	maxName = 50
	maxWord = 100 // a title, an id, a time
)

// act is POST /act.
func (h *Handler) act(w http.ResponseWriter, r *http.Request) {
	a, err := readAct(w, r)
	if err == nil {
		err = h.stage.Do(r.Context(), a)
	}
	refusal, refused := errors.AsType[*ActError](err)
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	case refused:
		refuse(w, refusal.Status, refusal.Text)
	default:
		refuse(w, http.StatusInternalServerError, err.Error())
	}
}

// readAct reads an act and refuses what no stage could do.
func readAct(w http.ResponseWriter, r *http.Request) (a Act, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return a, &ActError{http.StatusUnsupportedMediaType, "want Content-Type: application/json"}
	}
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAct))
	in.DisallowUnknownFields()
	if err := in.Decode(&a); err != nil {
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return a, &ActError{http.StatusRequestEntityTooLarge, fmt.Sprintf("an act is at most %d KiB", maxAct>>10)}
		}
		return a, &ActError{http.StatusBadRequest, fmt.Sprintf("not an act: %v", err)}
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return a, &ActError{http.StatusBadRequest, "not an act: there is more behind it"}
	}
	return a, a.check()
}

// check refuses an act that is not one.
func (a Act) check() error {
	var psid bool // it concerns a customer
	longest := 0  // of Text; 0 wants none
	switch a.Do {
	case DoSays, DoAgent:
		psid, longest = true, maxText
	case DoReply, DoButton, DoMenu, DoSends, DoReacts, DoPlay:
		psid, longest = true, maxWord
	case DoStart, DoReads, DoOpen, DoMain, DoDone:
		psid = true
	case DoCustomer:
		longest = maxName
	case DoForward, DoGraph, DoDoneIs:
		longest = maxWord
	case DoKill, DoRestart, DoStop, DoReset:
	default:
		return &ActError{http.StatusBadRequest, fmt.Sprintf("nobody can do %q", a.Do)}
	}
	n := utf8.RuneCountInString(a.Text)
	switch {
	case psid && a.PSID == "":
		return &ActError{http.StatusBadRequest, a.Do + " concerns a customer: psid is missing"}
	case !psid && a.PSID != "":
		return &ActError{http.StatusBadRequest, a.Do + " concerns no customer: psid is too much"}
	case longest > 0 && strings.TrimSpace(a.Text) == "":
		return &ActError{http.StatusBadRequest, a.Do + ": text is missing"}
	case n > longest:
		return &ActError{http.StatusBadRequest, fmt.Sprintf("%s: text has %d characters, want at most %d", a.Do, n, longest)}
	}
	return nil
}
