package bot

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Key returns what is compared of a text: its words without case, accents and
// punctuation, with one space between them. Texts that look alike to a reader
// have the same key: "AGENTÉ!!" and "agente", "ﻣﺮﺣﺒﺎ" and "مرحبا", "👋🏽" and "👋".
//
// A word is a run of letters, digits and their marks; every symbol is a word of
// its own. Marks are dropped from Latin, Greek, Cyrillic, Arabic and Hebrew
// letters only: elsewhere they make another word (がな, かな). Key is idempotent,
// its result is NFC, and it is not empty where s has a letter, digit or symbol
// other than a skin tone.
func Key(s string) string {
	if isASCII(s) {
		return asciiKey(s)
	}
	s = strings.ToValidUTF8(s, " ") // norm leaves alone what comes after broken bytes
	// Compatibility forms go first (NFKC in effect), folding after them, and all
	// stays decomposed until the marks are sorted out.
	folded := cases.Fold().String(norm.NFKD.String(s))
	k := foldedKey(folded, false)
	if k == "" { // nothing but marks and tatweels: they are what was said, then
		k = foldedKey(folded, true)
	}
	return norm.NFC.String(k)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// asciiKey is foldedKey for the most frequent texts; one allocation.
func asciiKey(s string) string {
	buf := make([]byte, 0, 128)
	inWord := false
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			if !inWord {
				buf = space(buf)
			}
			inWord = true
			buf = append(buf, c)
		case strings.IndexByte("$+<=>^`|~", c) >= 0: // what unicode.IsSymbol holds of ASCII
			inWord = false
			buf = append(space(buf), c)
		default:
			inWord = false
		}
	}
	return string(buf)
}

const tatweel = '\u0640' // stretches Arabic words

// foldedKey returns the words of a folded text in NFKD; with all, marks and
// tatweels stay.
func foldedKey(s string, all bool) string {
	buf := make([]byte, 0, 2*len(s))
	inWord := false
	base := rune(0) // what a mark would stand on; 0 for nothing
	for _, r := range s {
		switch {
		case unseen(r):
			continue
		case unicode.IsMark(r) || r == tatweel:
			if !all && (r == tatweel || !needsMarks(base)) {
				continue
			}
			if base == 0 {
				base, inWord = r, true
				buf = space(buf)
			}
			buf = utf8.AppendRune(buf, r)
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			if !inWord {
				buf = space(buf)
			}
			base, inWord = r, true
			buf = appendPlain(buf, r)
		case unicode.IsSymbol(r):
			base, inWord = r, false
			buf = utf8.AppendRune(space(buf), r)
		default:
			base, inWord = 0, false
		}
	}
	return string(buf)
}

// needsMarks tells whether base is another letter without its marks; 0 is no base.
func needsMarks(base rune) bool {
	return base != 0 &&
		!unicode.In(base, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Hebrew)
}

// unseen tells whether r is no part of a word although it stands inside one:
// joiners and other invisible characters (U+034F is what norm cuts heaps of marks
// with), variants of emoji, keycaps, skin tones.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector) ||
		r == '\u034F' || r == '\u20E3' || '\U0001F3FB' <= r && r <= '\U0001F3FF'
}

func space(buf []byte) []byte {
	if len(buf) == 0 {
		return buf
	}
	return append(buf, ' ')
}

// appendPlain writes a letter or digit in the form that people type when they
// are in a hurry.
func appendPlain(buf []byte, r rune) []byte {
	switch r {
	case '\u0671': // alef wasla; the other alefs have lost their marks
		r = '\u0627'
	case '\u0649': // alef maksura
		r = '\u064A'
	case '\u0629': // ta marbuta
		r = '\u0647'
	case 'ı':
		r = 'i'
	case 'ø':
		r = 'o'
	case 'ł':
		r = 'l'
	case 'đ':
		r = 'd'
	case 'æ':
		return append(buf, "ae"...)
	default:
		r = shifted(r)
	}
	return utf8.AppendRune(buf, r)
}

// shifted maps the ranges that have a twin.
func shifted(r rune) rune {
	switch {
	case '\u0660' <= r && r <= '\u0669': // Arabic digits
		return r - '\u0660' + '0'
	case '\u06F0' <= r && r <= '\u06F9': // Persian digits
		return r - '\u06F0' + '0'
	case '\uAB70' <= r && r <= '\uABBF': // cases.Fold swaps the two cases of Cherokee
		return r - '\uAB70' + '\u13A0'
	case '\u13F8' <= r && r <= '\u13FD':
		return r - '\u13F8' + '\u13F0'
	}
	return r
}
