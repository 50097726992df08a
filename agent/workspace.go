package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"station-agent/store"
	"station-agent/uplink/assign"
	"station-agent/uplink/writeback"
)

func workspaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workspace",
		Short: "What the agent can use in a schema of your own",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	ddl := &cobra.Command{
		Use:   "ddl",
		Short: "Print the table and the view that the agent can use, to be run by hand",
		Args:  noArgs,
	}
	file := configFlag(ddl)
	schema := ddl.Flags().String("schema", "external_workspace", "your own `SCHEMA`")
	ddl.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(*file)
		if err != nil {
			return err
		}
		text, err := assign.WorkspaceDDL(c.MySQL.Schema, *schema)
		if err != nil {
			return usageError{err}
		}
		anchors, err := writeback.DDL(cmp.Or(c.Writeback.Table, *schema+".station_agent_anchors"))
		if err != nil {
			return usageError{err}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n-- How each record stands at Certyo, if [writeback] names it. The stations fill it.\n%s;\n", text, anchors)
		return err
	}
	cmd.AddCommand(ddl)
	return cmd
}

func mapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "map",
		Short: "The map from RFID tags to items that is kept on this card",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	load := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Replace the map by the one in FILE: two columns, the tag and the item's hash",
		Long: "Replace the map by the one in FILE.csv: two columns, the tag and the item's hash, separated by commas or semicolons. " +
			"A first line \"epc,hash\" may name them. A line that is wrong is told with its number, and the old map stays.",
		Args: oneArg("name one FILE.csv"),
	}
	a := agentFlags(load)
	load.RunE = func(cmd *cobra.Command, args []string) error {
		file, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("import map: %w", err)
		}
		defer f.Close()
		res, err := a.send(cmd, http.MethodPost, "/map", f)
		if err != nil {
			return err
		}
		var stats store.MapStats
		if err := errors.Join(json.NewDecoder(res.Body).Decode(&stats), res.Body.Close()); err != nil {
			return fmt.Errorf("import map: %w", err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d tags of %d items\n", stats.EPCs, stats.Hashes)
		if stats.Shared > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "station-agent: warning: %d tags are named for more than one item: they are refused as ambiguous\n", stats.Shared)
		}
		return nil
	}
	cmd.AddCommand(load)
	return cmd
}

// importMap takes a CSV into the store.
func (d desk) importMap(w http.ResponseWriter, r *http.Request) error {
	rc := http.NewResponseController(w)
	_ = errors.Join(rc.SetReadDeadline(noTime), rc.SetWriteDeadline(noTime)) // a command's own desk has none
	stats, err := d.store.ImportMap(mapLines(r.Body))
	if err != nil {
		return fmt.Errorf("import map: %w: the old map stays", err)
	}
	return writeJSON(w, stats)
}

// mapLines reads a CSV of tags and hashes. An error ends it.
func mapLines(in io.Reader) iter.Seq2[store.MapLine, error] {
	return func(yield func(store.MapLine, error) bool) {
		c, epc, hash, err := openCSV(in)
		if err != nil {
			yield(store.MapLine{}, err)
			return
		}
		for {
			f, err := c.Read()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && (f[epc] == "" || len(f[epc]) > 128 || len(f[hash]) != 32):
				line, _ := c.FieldPos(0)
				err = fmt.Errorf("line %d: %q for item %q: a tag has 1 to 128 bytes and a hash 32", line, cut(f[epc], 40), cut(f[hash], 40))
			}
			if err != nil {
				yield(store.MapLine{}, err)
				return
			}
			if !yield(store.MapLine{EPC: strings.Clone(f[epc]), Hash: strings.Clone(f[hash])}, nil) {
				return
			}
		}
	}
}

// openCSV finds out the separator, and which column is which: by the first line if it names them, else tag, hash.
func openCSV(in io.Reader) (c *csv.Reader, epc, hash int, err error) {
	b := bufio.NewReaderSize(in, 64<<10)
	if bom, _ := b.Peek(3); string(bom) == "\uFEFF" {
		_, _ = b.Discard(3)
	}
	head, err := b.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, 0, err
	}
	first, _, _ := strings.Cut(string(head), "\n")
	c = csv.NewReader(b)
	c.FieldsPerRecord, c.ReuseRecord, c.TrimLeadingSpace = 2, true, true
	if strings.Contains(first, ";") && !strings.Contains(first, ",") {
		c.Comma = ';'
	}
	switch strings.NewReplacer(" ", "", "\r", "", `"`, "", ";", ",").Replace(strings.ToLower(first)) {
	case "hash,epc":
		hash = 0
		epc = 1
	case "epc,hash":
		hash = 1
	default:
		return c, 0, 1, nil
	}
	_, err = c.Read()
	return c, epc, hash, err
}
