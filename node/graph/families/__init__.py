"""Families of graphs: node ids and settings in, edges out."""
