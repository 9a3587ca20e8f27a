"""A random encoder of two layers over the words of the starter tables, as a directory of sentence-transformers."""

from pathlib import Path

from kgkit import content


def tiny_encoder(directory: Path, *, plain: bool = False, mask: bool = False) -> Path:
    """`plain`: without pooling, as transformers saves an encoder. `mask`: its tokenizer can hide a word."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.trainers import WordLevelTrainer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = Tokenizer(WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer, words.normalizer = Whitespace(), Lowercase()
    sources = sorted(content.path("corpora", "sources").rglob("*.csv"))
    tasks = sorted(content.path("evaluation", "retrieval").glob("*.yaml"))
    words.train_from_iterator(
        (path.read_text(encoding="utf-8") for path in (*sources, *tasks)),
        WordLevelTrainer(
            special_tokens=["[UNK]", "[PAD]", "[SEP]", *(["[MASK]"] if mask else [])],
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="[UNK]",
        pad_token="[PAD]",
        eos_token="[SEP]",
        mask_token="[MASK]" if mask else None,
    )
    encoder = BertModel(
        BertConfig(
            vocab_size=words.get_vocab_size(),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
            pad_token_id=1,
        ),
        add_pooling_layer=False,
    )
    bare = directory if plain else directory / "bare"
    encoder.save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    if not plain:
        read = Transformer(str(bare))
        SentenceTransformer(modules=[read, Pooling(32, "mean"), Normalize()], device="cpu").save(
            str(directory), create_model_card=False
        )
    return directory
