"""A folder of files and their schema as a source."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kg.errors import DataError
from kg.sources.folder import Folder, write_example


class TestFolder:
    @pytest.fixture
    def root(self, tmp_path):
        write_example(tmp_path)
        return tmp_path

    def test_ids_keep_their_zeros_and_empty_cells_are_no_value(self, root):
        tables = Folder(str(root)).load()
        assert tables.nodes["garment"]["id"].to_pylist() == ["007", "008", "009", "010"]
        assert tables.nodes["garment"]["description"].to_pylist() == [
            "warm, soft",
            None,
            "open",
            "straw",
        ]
        assert tables.edges["bought"]["time"][0].as_py() == 19737.0  # 2024-01-15
        assert tables.edges["worn_in"]["weight"].to_pylist() == [1, 0.9, 1, 0.8]

    def test_parquet_is_the_same(self, root):
        expected = Folder(str(root)).load()
        for kind, tables in (("nodes", expected.nodes), ("edges", expected.edges)):
            for name, table in tables.items():
                (root / kind / f"{name}.csv").unlink()
                words = {
                    c: table[c].dictionary_encode() if c == "source" else table[c]
                    for c in table.column_names
                }
                pq.write_table(pa.table(words), root / kind / f"{name}.parquet")
        assert Folder(str(root)).load().fingerprint() == expected.fingerprint()

    def test_whole_numbers_are_ids_and_zoned_times_are_times(self, root):
        table = pa.table({"id": [1, 2]})
        (root / "nodes/customer.csv").unlink()
        pq.write_table(table, root / "nodes/customer.parquet")
        (root / "edges/bought.csv").write_text(
            "source,target,time\n1,007,2024-01-15T12:00:00Z\n"
        )
        tables = Folder(str(root)).load()
        assert tables.edges["bought"].to_pylist() == [
            {"source": "1", "target": "007", "time": 19737.5}
        ]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,Caf\xe9,x\n",
                "nodes/garment.csv: .*UTF8",
            ),
            (
                "nodes/garment.csv",
                b"sku,gr\xf6\xdfe\n1,x\n",
                "nodes/garment.csv: the names of its columns.* as UTF-8",
            ),
            (
                "nodes/garment.csv",
                "sku,name\n1,x\n2,y".encode("utf-16"),
                "nodes/garment.csv: .*; save it as UTF-8",
            ),
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,x\n",
                "nodes/garment.csv: .*Expected 3 columns, got 2",
            ),
            (
                "nodes/garment.csv",
                b"sku,name\n1,x\n",
                "nodes/garment.csv: no column description; it has sku, name",
            ),
            ("nodes/garment.csv", b"", "nodes/garment.csv: Empty CSV"),
            (
                "nodes/customer.csv",
                b"key\nann\n",
                "nodes/customer.csv: no column id; it has key",
            ),
            (
                "nodes/customer.csv",
                b"id,id\nann,bob\n",
                "nodes/customer.csv: column id is there twice",
            ),
            (
                "edges/bought.csv",
                b"source,day\nann,1\n",
                "edges/bought.csv: no column target",
            ),
            (
                "edges/bought.csv",
                b"source,target\nann,007\n",
                "edges/bought.csv: no column day or time",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,soon\n",
                "edges/bought.csv: column day: .*soon",
            ),
            (
                "nodes/garment.csv",
                b"sku,name,description\n1,Caf\xe9,x\n",
                "nodes/garment.csv: .*; save it as UTF-8",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,2024-12-30\nann,008,2024-12-31\nann,009,30.12.2024\nann,010,x\n",
                "edges/bought.csv: column day: '30.12.2024' in row 4 is no number and no "
                "date or moment as 2024-12-31",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,007,2024-12-30\nann,008,\n",
                "edges/bought.csv: column day: 1 cells are empty, the first in row 3",
            ),
            (
                "edges/worn_in.csv",
                b"source,target,share\n007,winter,much\n",
                "edges/worn_in.csv: column share: 'much' in row 2 is no number$",
            ),
            (
                "edges/bought.csv",
                b"source,target,day\nann,7,1\n",
                "edge type 'bought'.*'7'",
            ),
            (
                "edges/bought.parquet",
                b"PAR1",
                "bought.parquet or .csv: both files are there",
            ),
        ],
    )
    def test_faults_are_one_line_with_the_file(self, root, name, content, message):
        (root / name).write_bytes(content)
        with pytest.raises(DataError, match=message) as fault:
            Folder(str(root)).load()
        assert "\n" not in str(fault.value)

    def test_missing_files(self, root):
        (root / "edges/bought.csv").unlink()
        with pytest.raises(
            DataError, match=re.escape("bought.parquet or .csv: no such file")
        ):
            Folder(str(root)).load()
        (root / "edges/bought.parquet").write_bytes(b"no parquet")
        with pytest.raises(DataError, match=r"bought\.parquet: "):
            Folder(str(root)).load()
        with pytest.raises(DataError, match="no schema file"):
            Folder(str(root / "nowhere")).load()
