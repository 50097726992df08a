package binlog

import (
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// gtid is the identity of one transaction.
type gtid struct {
	source string // MySQL: UUID of the server that executed it first, with ":tag" if it has one; "" for MariaDB
	number uint64

	domain, server uint32 // MariaDB
}

func (g gtid) String() string {
	if g.source == "" {
		return string(appendMaria(make([]byte, 0, 32), g.domain, g.server, g.number))
	}
	return g.source + ":" + strconv.FormatUint(g.number, 10)
}

// appendMaria appends a GTID of MariaDB.
func appendMaria(b []byte, domain, server uint32, number uint64) []byte {
	b = strconv.AppendUint(b, uint64(domain), 10)
	b = strconv.AppendUint(append(b, '-'), uint64(server), 10)
	return strconv.AppendUint(append(b, '-'), number, 10)
}

// sourceName is the text of a UUID and a tag.
func sourceName(sid []byte, tag string) string {
	if len(sid) != 16 {
		return hex.EncodeToString(sid)
	}
	b := make([]byte, 36, 36+1+len(tag))
	hex.Encode(b, sid[:4])
	for i, at := range []int{9, 14, 19} {
		hex.Encode(b[at:], sid[4+2*i:6+2*i])
	}
	hex.Encode(b[24:], sid[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	if tag != "" {
		b = append(append(b, ':'), tag...)
	}
	return string(b)
}

// gtids is what was read so far.
type gtids interface {
	has(gtid) bool
	add(gtid)
	String() string // as the server and the library understand it
}

func parseGTIDs(flavor, text string) (gtids, error) {
	if flavor == mysql.MariaDBFlavor {
		return parseMaria(text)
	}
	return parseExecuted(text)
}

// maria is the last GTID per domain. A transaction is the one that was read last, or it wasn't read: numbers needn't rise
// where the server isn't strict.
type maria map[uint32]mysql.MariadbGTID

func parseMaria(text string) (maria, error) {
	m := maria{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		g, err := mysql.ParseMariadbGTID(part)
		if err != nil {
			return nil, err
		}
		m[g.DomainID] = *g
	}
	return m, nil
}

func (m maria) has(g gtid) bool {
	last, ok := m[g.domain]
	return ok && last.SequenceNumber == g.number && last.ServerID == g.server
}

func (m maria) add(g gtid) {
	m[g.domain] = mysql.MariadbGTID{DomainID: g.domain, ServerID: g.server, SequenceNumber: g.number}
}

func (m maria) String() string {
	domains := make([]uint32, 0, 8) // mostly there is one
	for d := range m {
		domains = append(domains, d)
	}
	slices.Sort(domains)
	b := make([]byte, 0, 32*len(domains))
	for i, d := range domains {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMaria(b, d, m[d].ServerID, m[d].SequenceNumber)
	}
	return string(b)
}

// executed is MySQL's set: per source the numbers, as spans. The library's own set is rebuilt with every transaction.
type executed struct{ sources []executedBy }

type executedBy struct {
	source string
	spans  []span // in order, apart from each other
}

type span struct{ first, last uint64 }

func parseExecuted(text string) (*executed, error) {
	e := &executed{}
	for part := range strings.SplitSeq(text, ",") {
		fields := strings.Split(strings.TrimSpace(part), ":")
		if len(fields) == 1 && fields[0] == "" {
			continue
		}
		source := strings.ToLower(fields[0])
		if len(source) != 36 || len(fields) < 2 {
			return nil, fmt.Errorf("read GTID set: %.60q is no source with numbers", part)
		}
		for _, f := range fields[1:] {
			if f = strings.TrimSpace(f); f == "" || f[0] > '9' {
				source = strings.ToLower(fields[0] + ":" + f)
				continue
			}
			first, last, isSpan := strings.Cut(f, "-")
			lo, err1 := strconv.ParseUint(first, 10, 63)
			hi, err2 := lo, error(nil)
			if isSpan {
				hi, err2 = strconv.ParseUint(last, 10, 63)
			}
			if err1 != nil || err2 != nil || lo == 0 || hi < lo {
				return nil, fmt.Errorf("read GTID set: %.60q is no span of numbers", f)
			}
			e.addSpan(source, span{lo, hi})
		}
	}
	return e, nil
}

func (e *executed) find(source string) (int, bool) {
	return slices.BinarySearchFunc(e.sources, source, func(s executedBy, name string) int { return strings.Compare(s.source, name) })
}

func (e *executed) has(g gtid) bool {
	i, ok := e.find(g.source)
	if !ok {
		return false
	}
	_, ok = slices.BinarySearchFunc(e.sources[i].spans, g.number, func(s span, n uint64) int {
		switch {
		case s.last < n:
			return -1
		case s.first > n:
			return 1
		}
		return 0
	})
	return ok
}

func (e *executed) add(g gtid) { e.addSpan(g.source, span{g.number, g.number}) }

func (e *executed) addSpan(source string, s span) {
	i, ok := e.find(source)
	if !ok {
		e.sources = slices.Insert(e.sources, i, executedBy{source: source})
	}
	spans := e.sources[i].spans
	if n := len(spans); n > 0 && spans[n-1].last+1 == s.first { // the usual case: the next number
		spans[n-1].last = s.last
		return
	}
	spans = append(spans, s)
	sort.Slice(spans, func(i, k int) bool { return spans[i].first < spans[k].first })
	joined := spans[:1]
	for _, next := range spans[1:] {
		if last := &joined[len(joined)-1]; next.first <= last.last+1 {
			last.last = max(last.last, next.last)
		} else {
			joined = append(joined, next)
		}
	}
	e.sources[i].spans = joined
}

func (e *executed) String() string {
	var b []byte
	for i, s := range e.sources {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.source...)
		for _, p := range s.spans {
			b = strconv.AppendUint(append(b, ':'), p.first, 10)
			if p.last > p.first {
				b = strconv.AppendUint(append(b, '-'), p.last, 10)
			}
		}
	}
	return string(b)
}
