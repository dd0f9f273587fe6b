// Package images has the verbs of images: build, commit, images, load, pull and push.
package images

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewImagesCommand makes the command images.
func NewImagesCommand(run *cli.Run) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "images [OPTIONS] [SERVICE...]",
		Short: "List the images that containers were made from",
		RunE: func(cmd *cobra.Command, services []string) error {
			return listImages(cmd.Context(), run, format, quiet, services)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "table", "table or json")
	f.BoolVarP(&quiet, "quiet", "q", false, "Only ids, each once")
	return cmd
}

// imageRow is a container's image with the keys of docker compose's images --format json.
type imageRow struct {
	ID            string
	ContainerName string
	Repository    string
	Tag           string
	Platform      string
	Size          int64
	Created       time.Time `json:",omitzero"`
	LastTagTime   time.Time `json:",omitzero"`
}

func listImages(ctx context.Context, run *cli.Run, format string, quiet bool, services []string) error {
	if format != "" && format != "table" && format != "json" {
		return fmt.Errorf("unsupported --format value %q, expected table or json", format)
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	all, err := daemon.Images(ctx, name)
	if err != nil {
		return err
	}
	rows := []imageRow{}
	for _, i := range all {
		if len(services) == 0 || slices.Contains(services, i.Service) {
			rows = append(rows, newImageRow(i))
		}
	}
	switch {
	case quiet:
		var ids []string
		for _, r := range rows {
			if _, id, _ := strings.Cut(r.ID, ":"); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return formatter.WriteLines(run.Out, ids)
	case format == "json":
		return json.NewEncoder(run.Out).Encode(rows)
	}
	return formatter.WriteTable(run.Out, []string{"CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"}, imageCells(rows, time.Now()))
}

func newImageRow(i ask.ContainerImage) imageRow {
	return imageRow{
		ID: i.ID, ContainerName: i.Container, Repository: i.Repository, Tag: i.Tag, Platform: i.Platform, Size: i.Size, Created: i.Created, LastTagTime: i.PulledAt,
	}
}

func imageCells(rows []imageRow, now time.Time) [][]string {
	var cells [][]string
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	for _, r := range rows {
		_, id, _ := strings.Cut(r.ID, ":")
		created := "N/A"
		if !r.Created.IsZero() {
			created = formatter.Duration(now.Sub(r.Created)) + " ago"
		}
		cells = append(cells, []string{
			r.ContainerName, or(r.Repository, "<none>"), or(r.Tag, "<none>"), or(r.Platform, "N/A"), objectid.Short(id), formatter.DecimalSize(float64(r.Size)), created,
		})
	}
	return cells
}
