package binlog

import (
	"bytes"
	"context"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"station-agent/uplink/capture"
)

// layouts knows the tables of the stream.
type layouts struct {
	specs  []*capture.Spec
	ask    func(context.Context, *capture.Spec) (*capture.Table, place, error)
	keep   func(*capture.Spec, *history) error
	past   map[*capture.Spec]*history
	until  place             // the stream has to come so far before what was mapped is proven
	mapped map[uint64]mapped // by the log's number of the table, which is new after every change of it
}

type mapped struct {
	schema, name, types []byte
	table               *capture.Table // nil: not wanted
}

// prepare reads the layouts of tables of which nothing is known, before the stream begins: a change of the table may come
// before its next row. Behind such a change that was met it waits for a row: the server writes a change to the log before
// everybody sees it.
func (l *layouts) prepare(ctx context.Context) error {
	for _, spec := range l.specs {
		if s := l.past[spec].last(); len(s.Columns) == 0 && s.Since == (place{}) {
			t, end, err := l.ask(ctx, spec)
			if err != nil {
				return err
			}
			s.fill(t, end)
			if err := l.keep(spec, l.past[spec]); err != nil {
				return err
			}
		}
	}
	return nil
}

// changed notes that a statement at a place may have changed the table: the next row asks again.
func (l *layouts) changed(spec *capture.Spec, at place) error {
	h := l.past[spec]
	fresh, doubt := h.cut(at)
	if doubt {
		return capture.Gap("the layout of %s is unknown for some rows: it was changed again before it could be read (as administrator, SET GLOBAL binlog_row_metadata = 'FULL', and the log itself says it)", spec)
	}
	if !fresh {
		return nil
	}
	clear(l.mapped)
	return l.keep(spec, h)
}

// renumber forgets the log's numbers: another file may be another run of the server.
func (l *layouts) renumber() { clear(l.mapped) }

// table is the layout for the rows that m describes, of a transaction at a place; nil if nobody wants them.
func (l *layouts) table(ctx context.Context, m *replication.TableMapEvent, at place) (*capture.Table, error) {
	if e, ok := l.mapped[m.TableID]; ok && bytes.Equal(e.name, m.Table) && bytes.Equal(e.schema, m.Schema) && bytes.Equal(e.types, m.ColumnType) {
		return e.table, nil
	}
	table, err := l.find(ctx, m, at)
	if err != nil {
		return nil, err
	}
	if len(l.mapped) > 10_000 {
		clear(l.mapped)
	}
	l.mapped[m.TableID] = mapped{bytes.Clone(m.Schema), bytes.Clone(m.Table), bytes.Clone(m.ColumnType), table}
	return table, nil
}

func (l *layouts) find(ctx context.Context, m *replication.TableMapEvent, at place) (*capture.Table, error) {
	for _, spec := range l.specs {
		if string(m.Table) != spec.Name || string(m.Schema) != spec.Schema {
			continue
		}
		seen, err := describe(m)
		if err != nil {
			return nil, capture.Gap("the layout of %s is unknown: %v", spec, err)
		}
		if len(m.ColumnName) > 0 {
			return capture.NewTable(spec, seen)
		}
		return l.named(ctx, spec, seen, at)
	}
	return nil, nil
}

// named is the layout as information_schema has it or had it, if it is the one of these rows.
func (l *layouts) named(ctx context.Context, spec *capture.Spec, seen []capture.Column, at place) (*capture.Table, error) {
	h := l.past[spec]
	s := h.find(at)
	if len(s.Columns) > 0 && !at.before(s.Read) && misfit(s.Columns, seen) != "" { // changed without a word in the log
		i := h.index(at)
		h.insert(i+1, stretch{Since: at})
		s = h.find(at)
	}
	if len(s.Columns) == 0 {
		t, end, err := l.ask(ctx, spec)
		if err != nil {
			return nil, err
		}
		if next, known := h.next(s); known && next.before(end) {
			return nil, capture.Gap("the layout of %s is unknown: it was changed again since these rows were logged", spec)
		}
		s.fill(t, end)
		if err := l.keep(spec, h); err != nil {
			return nil, err
		}
	}
	if why := misfit(s.Columns, seen); why != "" {
		return nil, capture.Gap("the layout of %s is unknown: %s; the table was changed since these rows were logged", spec, why)
	}
	if at.before(s.Read) {
		s.held = true
		if l.until.before(s.Read) {
			l.until = s.Read
		}
	}
	return s.layout(spec)
}

// misfit tells why the columns can't be those that the log shows; "" if they can.
func misfit(columns, seen []capture.Column) string {
	if len(columns) != len(seen) {
		return fmt.Sprintf("the table has %d columns and the log %d", len(columns), len(seen))
	}
	for i, c := range columns {
		s := seen[i]
		same := c.Kind == s.Kind || c.Kind == capture.Big && s.Kind == capture.Integer && s.Size == 8 || // a log without signs
			(c.Kind == capture.Text || c.Kind == capture.Bytes) && (s.Kind == capture.Text || s.Kind == capture.Bytes)
		if !same || c.Fraction != s.Fraction || c.Kind == capture.Integer && c.Size != s.Size {
			return fmt.Sprintf("column %s fits not what the log shows in its place", c.Name)
		}
	}
	return ""
}

// describe makes columns of the log's own description of a table. Names, signs, labels and what is text and what is bytes
// are right only if the log has the full description.
func describe(m *replication.TableMapEvent) ([]capture.Column, error) {
	if len(m.ColumnType) != int(m.ColumnCount) || len(m.ColumnMeta) != int(m.ColumnCount) {
		return nil, fmt.Errorf("the log describes %d of %d columns", len(m.ColumnType), m.ColumnCount)
	}
	names, unsigned, collations := m.ColumnNameString(), m.UnsignedMap(), m.CollationMap()
	enums, sets := m.EnumStrValueMap(), m.SetStrValueMap()
	columns := make([]capture.Column, m.ColumnCount)
	for i := range columns {
		c := &columns[i]
		if i < len(names) {
			c.Name = names[i]
		}
		c.Unsigned = unsigned[i]
		describeType(c, m.ColumnType[i], m.ColumnMeta[i], collations[i] == binaryCollation)
		switch c.Kind {
		case 0:
			return nil, fmt.Errorf("column %d has the type %d, which capture can't map", i+1, m.ColumnType[i])
		case capture.Enum:
			c.Labels = enums[i]
		case capture.Set:
			c.Labels = sets[i]
		}
	}
	return columns, nil
}

const binaryCollation = 63

// kindOf is the Kind of a type of the log, 0 if capture can't map it. What shares a type is told apart by describeType.
func kindOf(typ byte) capture.Kind {
	switch typ {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONGLONG:
		return capture.Integer
	case mysql.MYSQL_TYPE_BIT:
		return capture.Big
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return capture.Decimal
	case mysql.MYSQL_TYPE_FLOAT:
		return capture.Float
	case mysql.MYSQL_TYPE_DOUBLE:
		return capture.Double
	case mysql.MYSQL_TYPE_YEAR:
		return capture.Year
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		return capture.Date
	case mysql.MYSQL_TYPE_TIME, mysql.MYSQL_TYPE_TIME2:
		return capture.Time
	case mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_DATETIME2:
		return capture.Datetime
	case mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIMESTAMP2:
		return capture.Timestamp
	case mysql.MYSQL_TYPE_JSON:
		return capture.Document
	case mysql.MYSQL_TYPE_GEOMETRY, mysql.MYSQL_TYPE_VECTOR:
		return capture.Bytes
	case mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_STRING:
		return capture.Text
	}
	return 0
}

// describeType fills in what a type and its meta word say (MySQL's Table_map_event).
func describeType(c *capture.Column, typ byte, meta uint16, binary bool) {
	c.Kind = kindOf(typ)
	switch c.Kind {
	case capture.Integer:
		c.Size = map[byte]int{
			mysql.MYSQL_TYPE_TINY: 1, mysql.MYSQL_TYPE_SHORT: 2, mysql.MYSQL_TYPE_INT24: 3, mysql.MYSQL_TYPE_LONG: 4, mysql.MYSQL_TYPE_LONGLONG: 8,
		}[typ]
		if c.Size == 8 && c.Unsigned {
			c.Kind = capture.Big
		}
	case capture.Time, capture.Datetime, capture.Timestamp:
		c.Fraction = int(meta)
	case capture.Text:
		if binary {
			c.Kind = capture.Bytes
		}
		if typ == mysql.MYSQL_TYPE_STRING {
			describeString(c, meta)
		}
	}
}

// describeString tells apart what shares the type STRING: the meta word has the real type in its upper byte, and bits of a
// length above 255 in two bits of it.
func describeString(c *capture.Column, meta uint16) {
	switch byte(meta >> 8) {
	case mysql.MYSQL_TYPE_ENUM:
		c.Kind = capture.Enum
	case mysql.MYSQL_TYPE_SET:
		c.Kind = capture.Set
	default:
		if c.Kind == capture.Bytes {
			c.Size = int(meta&0xff | (meta>>4&0x300 ^ 0x300))
		}
	}
}
